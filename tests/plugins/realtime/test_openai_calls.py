"""Browsers' calls with `openai` itself: offers, the session beside the call, keys; on real sockets."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest

import jackfield_realtime_openai as plugin
from jackfield.contracts.llm import Message
from jackfield.contracts.realtime import (
    ForwardsOffers,
    GivesSecrets,
    RealtimeOutput,
    RealtimePlayback,
    RealtimeSettings,
    RealtimeSpeech,
    RealtimeText,
)
from jackfield.contracts.stt import Transcript
from jackfield.contracts.tts import Voice
from jackfield.errors import (
    ProviderBadReply,
    ProviderError,
    ProviderRateLimited,
    ProviderUnauthorized,
    ProviderUnavailable,
)
from jackfield.plugin import Site
from jackfield.testing import ForwardingSuite, SecretsSuite
from jackfield_realtime_openai import OpenAIRealtimeOptions
from jackfield_realtime_openai.conversation import outputs_of
from jackfield_realtime_openai.far_conversation import FarConversation
from jackfield_realtime_openai.far_model import OpenAIFarRealtime
from jackfield_realtime_openai.far_session import OpenAIFarSession
from tests.plugins.realtime.openai_calls_server import CallsServer, calls_server
from tests.plugins.realtime.openai_far_call import PITCH_HZ
from tests.plugins.realtime.openai_realtime_server import KEY
from tests.transports.browser import Browser, pitch_hz, tone

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(25)]

BUSY = {"type": "rate_limit_error", "code": "rate_limit_exceeded", "message": "Slow down."}
PLAIN = RealtimeSettings(instructions="You help.")


@pytest.fixture(scope="module")
def house() -> Iterator[CallsServer]:
    with calls_server() as server:
        yield server


@pytest.fixture
def server(house: CallsServer) -> CallsServer:
    house.reset()
    return house


@pytest.fixture
async def offer() -> str:
    async with Browser() as browser:
        return await browser.offer()


def options(url: str, **others: Any) -> OpenAIRealtimeOptions:
    return OpenAIRealtimeOptions.model_validate({"base_url": url, "api_key": KEY, **others})


@asynccontextmanager
async def model(server: CallsServer, **others: Any) -> AsyncIterator[OpenAIFarRealtime]:
    site = Site("realtime", "openai", logging.getLogger("jackfield.trial"))
    built = plugin.make_realtime(options(server.url, **others), site)
    assert isinstance(built, OpenAIFarRealtime)
    async with built:
        yield built


@asynccontextmanager
async def call(
    server: CallsServer, browser: Browser, settings: RealtimeSettings = PLAIN, **others: Any
) -> AsyncIterator[OpenAIFarSession]:
    """A browser in a call with the model."""
    async with model(server, **others) as built, browser:
        sdp = await browser.offer(candidates=False)
        async with built.forward_offer(sdp, settings) as session:
            await browser.accept(session.answer)
            await browser.connected()
            yield session


async def until(outputs: AsyncIterator[RealtimeOutput], *last: RealtimeOutput | str) -> list[RealtimeOutput]:
    """Read to one of these; a name is that of a state of playback."""
    read: list[RealtimeOutput] = []
    with anyio.fail_after(8):
        async for output in outputs:
            read.append(output)
            if output in last or (isinstance(output, RealtimePlayback) and output.state in last):
                return read
    raise AssertionError("The session ended.")


class TestForwarding(ForwardingSuite):
    @pytest.fixture
    async def forwarder(self, server: CallsServer) -> AsyncIterator[ForwardsOffers]:
        async with model(server) as built:
            yield built


class TestSecrets(SecretsSuite):
    @pytest.fixture
    async def giver(self, server: CallsServer) -> AsyncIterator[GivesSecrets]:
        async with model(server) as built:
            yield built


async def test_a_browser_talks_with_the_model_and_its_words_are_told(server: CallsServer) -> None:
    browser = Browser(tone(600, 0.5))
    async with call(server, browser) as session:
        outputs = await until(aiter(session), "stopped")
        sound = await browser.until_loud(0.3)
    assert pitch_hz(sound) == pytest.approx(PITCH_HZ, rel=0.05)
    assert [output.state for output in outputs if isinstance(output, RealtimeSpeech)] == [
        "started",
        "stopped",
    ]
    finals = [output.text for output in outputs if isinstance(output, Transcript) and output.kind == "final"]
    assert finals == ["What is the capital of Japan?"]
    words = "".join(output.text for output in outputs if isinstance(output, RealtimeText))
    assert words == "You said: What is the capital of Japan?"
    assert [output.state for output in outputs if isinstance(output, RealtimePlayback)] == [
        "started",
        "stopped",
    ]
    assert server.of_type("input_audio_buffer.append") == []


async def test_the_call_has_our_key_and_the_settings(server: CallsServer, offer: str) -> None:
    said = (Message("user", "Tea?"), Message("assistant", "Yes."))
    settings = RealtimeSettings("You host.", voice=Voice(gender="male"), language="de-DE", history=said)
    async with (
        model(server, organization="org-1", model="gpt-realtime-mini") as built,
        built.forward_offer(offer, settings),
    ):
        (held,) = server.calls.values()
        session = held.session
    assert server.offers == [offer]
    assert {headers["authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
    assert {headers["openai-organization"] for headers in server.headers} == {"org-1"}
    assert (session["model"], session["instructions"]) == ("gpt-realtime-mini", "You host.")
    assert session["audio"]["output"]["voice"] == "cedar"
    assert session["audio"]["input"]["transcription"]["language"] == "de"
    assert "format" not in session["audio"]["input"]
    assert [event["item"]["role"] for event in server.of_type("conversation.item.create")] == [
        "user",
        "assistant",
    ]


async def test_leaving_hangs_up(server: CallsServer) -> None:
    browser = Browser()
    async with call(server, browser):
        assert server.attached == 1
        (name,) = server.calls
    assert server.hung_up == [name]
    assert server.attached == 0


async def test_the_session_ends_when_the_browser_does(server: CallsServer) -> None:
    browser = Browser()
    async with call(server, browser) as session:
        await browser.hang_up()
        with anyio.fail_after(8):
            async for _output in session:
                pass
    assert server.hung_up == []


async def test_settings_change_in_the_call(server: CallsServer, offer: str) -> None:
    async with model(server) as built, built.forward_offer(offer, PLAIN) as session:
        outputs = aiter(session)
        await session.inject("Hello")
        await until(outputs, "started")
        await session.update(RealtimeSettings("You sing.", voice=Voice(gender="male")))
        await session.say("Welcome")
        await until(outputs, "stopped")
        await until(outputs, "started")
        (event,) = server.of_type("session.update")
    changed = event["session"]
    assert changed["instructions"] == "You sing."
    assert "voice" not in changed["audio"]["output"]


async def test_an_interruption_by_the_client_silences_the_model(server: CallsServer, offer: str) -> None:
    async with model(server) as built, built.forward_offer(offer, PLAIN) as session:
        outputs = aiter(session)
        await session.inject("Tell me everything that there is to know about this, please, and slowly")
        await until(outputs, "started")
        await session.interrupt(100)
        await until(outputs, "cleared")
    assert server.of_type("conversation.item.truncate") == []


async def test_an_interruption_by_voice_is_the_models_own(server: CallsServer) -> None:
    browser = Browser(tone(600, 0.3) + bytes(2 * 48_000) + tone(600, 2))
    async with call(server, browser) as session:
        outputs = aiter(session)
        await until(outputs, "started")
        await until(outputs, RealtimeSpeech("started"))
        await session.interrupt(100)
        await until(outputs, "cleared")
    assert server.of_type("output_audio_buffer.clear") == server.of_type("response.cancel") == []


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (429, ProviderRateLimited),
        (401, ProviderUnauthorized),
        (500, ProviderUnavailable),
        (404, ProviderBadReply),
    ],
)
async def test_refusals_have_their_categories(
    server: CallsServer, offer: str, status: int, expected: type[ProviderError]
) -> None:
    server.script.refuses = status
    async with model(server) as built:
        with pytest.raises(expected) as of_call:
            async with built.forward_offer(offer, PLAIN):
                pass
        with pytest.raises(expected) as of_secret:
            await built.client_secret(PLAIN, 60)
    for told in (of_call, of_secret):
        assert KEY not in str(told.value)
        assert told.value.retry_after_s == (7.0 if status in (429, 500) else None)


async def test_a_connection_beside_the_call_that_is_lost_is_opened_again(
    server: CallsServer, offer: str
) -> None:
    server.far_script.greets = True
    async with model(server) as built, built.forward_offer(offer, PLAIN) as session:
        outputs = aiter(session)
        for _ in range(2):
            await until(outputs, "stopped")
            server.script.drops = True
            await session.update(RealtimeSettings("You sing."))
        await until(outputs, "stopped")
        await session.inject("Hello")
        read = await until(outputs, "stopped")
    assert "".join(each.text for each in read if isinstance(each, RealtimeText)) == "You said: Hello"
    assert len(server.of_type("session.update")) == 2
    assert len(server.hung_up) == 1


async def test_a_connection_that_stays_lost_ends_the_session(server: CallsServer, offer: str) -> None:
    async with model(server) as built, built.forward_offer(offer, PLAIN) as session:
        server.script.drops = server.refuses_attaching = True
        await session.inject("Hello")
        with pytest.raises(ProviderError):
            await until(aiter(session), "never")
    assert len(server.hung_up) == 1


async def test_an_answer_that_fails_is_asked_for_again(server: CallsServer, offer: str) -> None:
    async with model(server) as built, built.forward_offer(offer, PLAIN) as session:
        outputs = aiter(session)
        server.script.fails, server.far_script.fails_for = BUSY, 1
        await session.inject("Hello")
        read = await until(outputs, "stopped")
    assert "".join(each.text for each in read if isinstance(each, RealtimeText)) == "You said: Hello"


async def test_answers_that_go_on_failing_end_the_session(
    server: CallsServer, offer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jackfield_realtime_openai.far_session._BACKOFF_S", 0.01)
    async with model(server) as built, built.forward_offer(offer, PLAIN) as session:
        server.script.fails = BUSY
        await session.inject("Hello")
        with pytest.raises(ProviderRateLimited):
            await until(aiter(session), "never")
    assert len(server.of_type("response.create")) == 4


async def test_an_answer_that_fails_is_not_asked_for_again_once_it_is_interrupted(
    server: CallsServer, offer: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("jackfield_realtime_openai.far_session._BACKOFF_S", 0.3)
    async with model(server) as built, built.forward_offer(offer, PLAIN) as session:
        server.script.fails, server.far_script.fails_for = BUSY, 1
        await session.inject("One")
        while "gave no answer" not in caplog.text:
            with anyio.move_on_after(0.05):
                await until(aiter(session), "never")
        await session.interrupt(0)
        with anyio.move_on_after(0.5):
            await until(aiter(session), "never")
    assert len(server.of_type("response.create")) == 1


def test_what_was_missed_beside_a_call_is_over() -> None:
    talk = FarConversation(logging.getLogger("jackfield.trial"), lambda failures: None)
    delta = {"type": "response.output_audio_transcript.delta", "delta": "Hi"}
    for name in ("one", "two"):  # of the first, neither the beginning nor the end is told
        outputs_of(talk, delta | {"response_id": name, "item_id": f"item-{name}"})
    assert outputs_of(talk, {"type": "output_audio_buffer.started", "response_id": "two"}) == [
        RealtimePlayback("item-one", "stopped"),
        RealtimePlayback("item-two", "started"),
    ]
    outputs_of(talk, {"type": "input_audio_buffer.speech_started"})
    talk.missed()
    assert not talk.user_speaks


async def test_a_call_that_begins_after_nobody_wants_it_is_hung_up(server: CallsServer, offer: str) -> None:
    server.stalls_s = 0.3
    async with model(server) as built:
        began_s = anyio.current_time()
        with anyio.move_on_after(0.1) as scope:
            async with built.forward_offer(offer, PLAIN):
                pass
        assert scope.cancelled_caught
        assert anyio.current_time() - began_s < 0.25
    assert len(server.offers) == len(server.hung_up) == 1


async def test_a_call_whose_name_the_service_does_not_tell_is_not_waited_for(
    server: CallsServer, offer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jackfield_realtime_openai.calls._LATE_S", 0.2)
    server.stalls_s = 5
    began_s = anyio.current_time()
    async with model(server) as built:
        with anyio.move_on_after(0.1):
            async with built.forward_offer(offer, PLAIN):
                pass
    assert anyio.current_time() - began_s < 3


async def test_a_call_without_a_side_channel_is_ended(server: CallsServer, offer: str) -> None:
    server.refuses_attaching = True
    async with model(server) as built:
        with pytest.raises(ProviderBadReply):
            async with built.forward_offer(offer, PLAIN):
                pass
    assert len(server.hung_up) == 1


async def test_a_key_opens_a_call_with_its_settings(server: CallsServer, offer: str) -> None:
    async with model(server) as built:
        secret = await built.client_secret(RealtimeSettings("You host."), 60)
    assert secret.value.startswith("ek_")
    assert 50 < secret.expires_s - time.time() < 61
    headers = {"Authorization": f"Bearer {secret.value}", "Content-Type": "application/sdp"}
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{server.url}/realtime/calls", content=offer, headers=headers)
    assert answer.status_code == 201
    assert answer.text.startswith("v=0")
    (held,) = server.calls.values()
    assert held.session["instructions"] == "You host."


async def test_a_key_is_good_for_no_longer_than_the_service_allows(server: CallsServer) -> None:
    async with model(server) as built:
        short, long = await built.client_secret(PLAIN, 1), await built.client_secret(PLAIN, 1e6)
    assert 8 < short.expires_s - time.time() < 11
    assert 7_190 < long.expires_s - time.time() < 7_201


def test_without_the_sdk_it_takes_no_offers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "find_spec", lambda name: None)
    site = Site("realtime", "openai", logging.getLogger("jackfield.trial"))
    built = plugin.make_realtime(options("http://127.0.0.1:1/v1"), site)
    assert not isinstance(built, ForwardsOffers | GivesSecrets)
