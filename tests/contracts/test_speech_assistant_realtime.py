"""speech-assistant, sections 1, 4.1 and 8: calls that a speech-to-speech model answers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import anyio
import pytest

from jackfield.errors import ProviderError, ProviderRateLimited, ProviderTimedOut, ProviderUnavailable
from jackfield.models import models_folder
from jackfield_transport_speech_assistant.provider_errors import refusal_of
from tests.contracts.harness import ROOT, ServerFactory, TrialServer, refusal, server_environment, until
from tests.contracts.sign_in import KEY as SECRET_KEY
from tests.contracts.speech import (
    PITCH_HZ,
    end,
    ended,
    new_session,
    newcomer,
    speaking,
    talking,
)
from tests.plugins.realtime.openai_realtime_server import KEY, RealtimeServer
from tests.server_process import ServerProcess
from tests.transports.browser import Browser, pitch_hz, tone

pytestmark = pytest.mark.anyio

Headers = Mapping[str, str]
EXAMPLE: Final = ROOT / "examples" / "speech-assistant-realtime.toml"
MODEL_HZ: Final = 400
"""How high the voice of the model is."""
APOLOGY_HZ: Final = 880
"""The same of the voice of [tts]."""
SESSIONS: Final = 'jackfield_realtime_sessions{section="realtime"}'
LIMITED: Final = 'jackfield_provider_failures_total{error="ProviderRateLimited",section="realtime"}'
SECONDS: Final = "jackfield_realtime_audio_seconds_total"
KINDS: Final = ("prompt", "completion")
WAYS: Final = ("in", "out")
BUSY: Final = {"type": "rate_limit_error", "code": "rate_limit_exceeded", "message": "Slow down."}


@pytest.fixture
def assistant(start: ServerFactory, house: RealtimeServer) -> TrialServer:
    """A speech assistant whose calls are a model's; the voice beside it only says sorry."""
    tone = {"folder": None, "frequency_hz": APOLOGY_HZ, "character_ms": 20}
    parts = {
        "call": {"pipeline": "realtime"},
        "realtime": {"use": "openai", "options": {"base_url": house.url, "api_key": KEY}},
        "tts": {"use": "tone", "options": tone},
        "stt": None,
        "vad": None,
    }
    return start("realtime", speaking() | parts)


@pytest.fixture
def ann(assistant: TrialServer) -> Headers:
    """Somebody without a session."""
    return newcomer(assistant)


def finished(browser: Browser, end: str) -> Callable[[], bool]:
    """Whether an answer that ends so was heard to its end."""
    return lambda: any(
        event["text"].endswith(end) for event in browser.events if event["type"] == "reply.finished"
    )


async def off_loop(wait: Callable[[], object], what: str) -> None:
    """Wait for what another process does."""
    await anyio.to_thread.run_sync(until, wait, what)


@pytest.mark.contract("SA-47", "SA-12")
async def test_who_speaks_is_answered_by_the_model(
    assistant: TrialServer, ann: Headers, model: RealtimeServer
) -> None:
    browser = Browser(tone(600, 0.6), channel=True)
    async with talking(assistant, ann, new_session(assistant, ann), browser):
        sound = await browser.until_loud(0.4)
        await browser.until(finished(browser, "You said: What is the capital of Japan?"))
    assert pitch_hz(sound) == pytest.approx(MODEL_HZ, rel=0.05)
    said = [event["text"] for event in browser.events if event["type"] == "transcript" and event["final"]]
    assert said == ["What is the capital of Japan?"]


@pytest.mark.contract("SA-47")
@pytest.mark.parametrize(("pipeline", "hz"), [("cascade", PITCH_HZ), ("realtime", MODEL_HZ)])
async def test_the_configuration_chooses_who_answers_the_same_conversation(
    start: ServerFactory, assistant: TrialServer, model: RealtimeServer, pipeline: str, hz: int
) -> None:
    chosen = assistant if pipeline == "realtime" else start("cascade", speaking())
    user = newcomer(chosen)
    browser = Browser(channel=True)
    async with talking(chosen, user, new_session(chosen, user), browser):
        await browser.say("text", text="Hello")
        sound = await browser.until_loud(0.2)
        await browser.until(finished(browser, "You said: Hello"))
    assert pitch_hz(sound) == pytest.approx(hz, rel=0.05)


@pytest.mark.contract("SA-33", "SA-42")
def test_a_provider_that_asks_to_wait_is_a_503_which_says_how_long(
    assistant: TrialServer, ann: Headers, model: RealtimeServer
) -> None:
    before = assistant.figures().get(LIMITED, 0)
    model.script.refuses, model.script.retry_after_s = 429, 17
    for _ in range(3):  # what was refused is no session, of which there may be two
        response = assistant.client.get("/realtime/session", headers=ann)
        refusal(response, 503, "provider_rate_limited")
        assert response.headers["retry-after"] == "17"
    assert assistant.figures()[LIMITED] == before + 3
    model.reset()
    with ended(assistant, ann, new_session(assistant, ann)):
        pass
    assert KEY not in assistant.output()


@pytest.mark.contract("SA-33")
@pytest.mark.parametrize(
    ("error", "status", "code", "headers"),
    [
        (ProviderRateLimited("?", retry_after_s=0.2), 503, "provider_rate_limited", {"Retry-After": "1"}),
        (ProviderRateLimited("?"), 503, "provider_rate_limited", {"Retry-After": "5"}),
        (ProviderTimedOut("?"), 504, "provider_timeout", {}),
        (ProviderUnavailable("?"), 502, "provider_failed", {}),
    ],
    ids=["short", "unsaid", "late", "gone"],
)
def test_each_failure_of_a_provider_has_its_answer(
    error: ProviderError, status: int, code: str, headers: dict[str, str]
) -> None:
    told = refusal_of(error)
    assert (told.status, told.code, told.headers) == (status, code, headers)
    assert "?" not in told.detail


@pytest.mark.contract("SA-33")
def test_a_provider_that_cannot_be_reached_is_a_502(
    assistant: TrialServer, ann: Headers, model: RealtimeServer
) -> None:
    model.script.refuses = 500
    refusal(assistant.client.get("/realtime/session", headers=ann), 502, "provider_failed")


@pytest.mark.contract("SA-20", "SA-32", "SA-49")
def test_who_is_refused_costs_the_provider_nothing(
    assistant: TrialServer, ann: Headers, model: RealtimeServer
) -> None:
    refusal(assistant.client.get("/realtime/session"), 401, "not_authenticated")
    wanted = {"scenario_id": "unknown"}
    refusal(assistant.client.get("/realtime/session", params=wanted, headers=ann), 404, "scenario_not_found")
    assert not model.headers
    sessions = new_session(assistant, ann), new_session(assistant, ann)
    with ended(assistant, ann, *sessions):
        asked = len(model.headers)
        refusal(assistant.client.get("/realtime/session", headers=ann), 429, "too_many_sessions")
        assert len(model.headers) == asked


@pytest.mark.contract("SA-33")
async def test_in_a_call_an_apology_is_spoken_and_the_question_is_asked_again(
    assistant: TrialServer, ann: Headers, model: RealtimeServer
) -> None:
    browser = Browser(channel=True)
    async with talking(assistant, ann, new_session(assistant, ann), browser):
        model.script.fails = BUSY
        await browser.say("text", text="Who am I?")
        sound = await browser.until_loud(0.3)
        model.script.fails = None
        await browser.until(finished(browser, "You said: Who am I?"))
    assert pitch_hz(sound) == pytest.approx(APOLOGY_HZ, rel=0.05)
    outcomes = [event["outcome"] for event in browser.events if event["type"] == "reply.finished"]
    assert outcomes == ["failed", "ok"]


@pytest.mark.contract("SA-34")
async def test_a_lost_connection_is_replaced_once_and_the_talk_is_known(
    assistant: TrialServer, ann: Headers, model: RealtimeServer
) -> None:
    browser = Browser(channel=True)
    async with talking(assistant, ann, new_session(assistant, ann), browser):
        await browser.say("text", text="I am Ann.")
        await browser.until(finished(browser, "You said: I am Ann."))
        model.script.drops = True
        connections = len(model.headers)
        await browser.say("text", text="What is the capital of Japan?")
        await browser.event("error")
        await browser.say("text", text="Who am I?")
        await browser.until(finished(browser, "Who am I?"))  # the question before may be answered with it
        assert len(model.headers) == connections + 1
    told = [event["item"]["content"][0]["text"] for event in model.of_type("conversation.item.create")]
    assert told[2:4] == ["I am Ann.", "You said: I am Ann."]


@pytest.mark.contract("SA-34", "SA-48")
async def test_a_connection_that_stays_lost_ends_the_call_in_order(
    assistant: TrialServer, ann: Headers, model: RealtimeServer
) -> None:
    session = new_session(assistant, ann)
    browser = Browser(channel=True)
    async with talking(assistant, ann, session, browser):
        await browser.say("text", text="Hello")
        await browser.until(finished(browser, "You said: Hello"))
        connections = len(model.headers)
        model.script.drops, model.script.refuses, model.script.retry_after_s = True, 500, 0
        await browser.say("text", text="Are you there?")
        assert (await browser.event("ended"))["reason"] == "provider_lost"
        assert len(model.headers) == connections + 1
        await browser.until(lambda: browser.connection.connectionState == "closed")
    over = f"session ended; session_id={session['session_id']} reason=provider_lost"
    await off_loop(lambda: over in assistant.output(), "the session is over")
    refusal(end(assistant, ann, session), 404, "session_not_found")
    assert "Traceback" not in assistant.output()


@pytest.mark.contract("SA-42", "SA-48")
async def test_use_of_the_provider_is_on_the_page_of_figures_during_the_call(
    assistant: TrialServer, ann: Headers, model: RealtimeServer
) -> None:
    def figures() -> dict[str, float]:
        return assistant.figures()

    names = [f'jackfield_tokens_total{{kind="{kind}",transport="speech_assistant"}}' for kind in KINDS]
    names += [
        f'jackfield_realtime_audio_seconds_total{{direction="{way}",section="realtime"}}' for way in WAYS
    ]
    before = await anyio.to_thread.run_sync(figures)
    browser = Browser(tone(600, 0.6), channel=True)
    async with talking(assistant, ann, new_session(assistant, ann), browser):
        await browser.event("reply.finished")
        now = await anyio.to_thread.run_sync(figures)
        prompt, completion, in_s, out_s = (now[name] - before.get(name, 0) for name in names)
        assert now[SESSIONS] == 1
        assert (prompt, completion) == (20, 30)
        assert in_s > 0.6
        assert out_s == pytest.approx(len("You said: What is the capital of Japan?") * 0.05, abs=0.1)
        began_s = time.monotonic()
    await off_loop(lambda: figures()[SESSIONS] == 0, "the provider's session is closed")
    await off_loop(lambda: model.open == 0, "and its connection")
    assert time.monotonic() - began_s < 5


@pytest.mark.contract("SA-47", "SA-33")
async def test_the_example_goes_on_with_a_cascade_where_the_model_asks_to_wait(
    tmp_path: Path, house: RealtimeServer, model: RealtimeServer
) -> None:
    voice = 'options.voice = "marin"\n'
    text = EXAMPLE.read_text().replace(voice, f'{voice}options.base_url = "{house.url}"\n')
    for kind, other in (("llm", "echo"), ("stt", "scripted"), ("tts", "tone")):
        text = re.sub(rf"(?<=\n\[{kind}\]\n)(.+\n)+", f'use = "{other}"\n', text)
    (tmp_path / "jackfield.toml").write_text(text)
    secrets = {"OPENAI_API_KEY": KEY, "SECRET_KEY": SECRET_KEY}
    given = {**secrets, "PORT": "0", "JACKFIELD_MODELS": str(models_folder())}
    with ServerProcess(tmp_path, [], server_environment(tmp_path, given)) as server:
        user = newcomer(server)
        for hz, answer in ((MODEL_HZ, "You said: Hello"), (PITCH_HZ, "Hello")):
            browser = Browser(channel=True)
            async with talking(server, user, new_session(server, user), browser):
                if model.script.refuses:
                    assert (await browser.event("error"))["code"] == "llm_failed"
                await browser.say("text", text="Hello")
                assert pitch_hz(await browser.until_loud(0.2)) == pytest.approx(hz, rel=0.05)
                await browser.until(finished(browser, answer))
            model.script.refuses = 429
        assert "Traceback" not in server.output()
