"""A call whose speech-to-speech model is not to be had: a cascade goes on with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from jackfield.assembly import Built
from jackfield.contracts.call import CallTrouble, ReplyText
from jackfield.contracts.realtime import Realtime
from jackfield.errors import ProtocolError, ProviderRateLimited, ProviderUnauthorized, ProviderUnavailable
from jackfield.plugin import Capabilities
from jackfield.testing import VirtualClock
from tests.core.dialogue.call.duet import Duet
from tests.core.dialogue.call.talk import Exchange
from tests.core.resilience.chained import Witness

pytestmark = pytest.mark.anyio

CONFIG: dict[str, Any] = {
    "call": {"pipeline": "realtime"},
    "realtime": {"use": "duet", "fallback": [{"use": "cascade"}]},
}


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


async def test_a_cascade_answers_where_no_session_comes_about(tmp_path: Path) -> None:
    duet = Duet(ProviderUnavailable("gone"))
    house = Exchange(tmp_path, realtime=duet, config=CONFIG | {"assistant": {"greeting": "Welcome!"}})
    async with house.call() as talk:
        await talk.answered(1)
        await talk.ask()
        finished = await talk.answered(2)

    assert len(duet.sessions) == 1
    assert talk.leg.events(CallTrouble) == [CallTrouble("llm_failed")]
    assert talk.leg.events(ReplyText)[0].text == "Welcome!"
    assert finished.text == "hello there"
    assert [text for _, text in await house.stage.stored()] == ["Welcome!", "hello there", "hello there"]


async def test_a_session_that_does_not_come_about_is_not_waited_for_long(tmp_path: Path) -> None:
    duet = Duet(delay_s=60)
    async with Exchange(tmp_path, realtime=duet, config=CONFIG).call() as talk:
        await anyio.sleep(3.1)
        await talk.ask()
        assert (await talk.answered()).text == "hello there"


async def test_each_model_of_a_chain_has_its_time_before_the_cascade(tmp_path: Path) -> None:
    first, second = Duet(delay_s=60), Duet(delay_s=2)
    members = tuple(Built("realtime", "duet", Capabilities(), duet) for duet in (first, second))
    chain: Realtime = Witness().join("realtime", first, second)
    model = Built("realtime", "duet > duet", Capabilities(), chain, members)
    async with Exchange(tmp_path, realtime=model, config=CONFIG).call() as talk:
        await anyio.sleep(5.5)
        second.now.speak("a", "Here I am.", 0.5)
        finished = await talk.answered()
    assert (finished.text, finished.providers) == ("Here I am.", {"realtime": "second"})


async def test_another_model_of_the_chain_goes_on_at_once_for_one_that_asks_to_wait(tmp_path: Path) -> None:
    first, second = Duet(), Duet()
    members = tuple(Built("realtime", "duet", Capabilities(), duet) for duet in (first, second))
    chain: Realtime = Witness().join("realtime", first, second)
    model = Built("realtime", "duet > duet", Capabilities(), chain, members)
    config = CONFIG | {"realtime": {"use": "duet"}}
    async with Exchange(tmp_path, realtime=model, config=config).call() as talk:
        first.now.tell(ProviderRateLimited("too much", retry_after_s=60))
        await anyio.sleep(0.1)
        second.now.speak("a", "Here I am.", 0.5)
        assert (await talk.answered()).text == "Here I am."


async def test_a_cascade_goes_on_for_a_model_that_asks_to_wait(tmp_path: Path) -> None:
    duet = Duet(ProviderRateLimited("too much"))
    async with Exchange(tmp_path, realtime=duet, config=CONFIG).call() as talk:
        await talk.ask()
        assert (await talk.answered()).text == "hello there"
    assert len(duet.sessions) == 1


async def test_a_cascade_goes_on_in_the_middle_of_a_call(tmp_path: Path) -> None:
    duet = Duet(None, ProviderUnauthorized("no"))
    parts = {"scenarios": {"pirate": {"instructions": "You are a pirate.", "greeting": "Ahoy!"}}}
    house = Exchange(tmp_path, realtime=duet, config=CONFIG | parts)
    async with house.call() as talk:
        duet.now.hear("Hello")
        duet.now.speak("a", "Hi there.", 0.5)
        await talk.answered(1)
        talk.call.switch("pirate")
        duet.now.tell(ProviderUnavailable("gone"))
        await anyio.sleep(0.1)
        await talk.ask()
        finished = await talk.answered(2)

    assert (finished.item, finished.text) == (2, "hello there")
    assert len(duet.sessions) == 2
    assert [text for _, text in await house.stage.stored()] == [
        "Hello",
        "Hi there.",
        "hello there",
        "hello there",
    ]


async def test_what_was_typed_before_it_is_answered_by_the_cascade(tmp_path: Path) -> None:
    duet = Duet(ProviderUnavailable("gone"), delay_s=2)
    house = Exchange(tmp_path, realtime=duet, config=CONFIG)
    async with house.call() as talk:
        talk.call.text("Where are you?")
        assert (await talk.answered()).text == "Where are you?"


async def test_what_the_model_left_open_is_answered_by_the_cascade(tmp_path: Path) -> None:
    duet = Duet(None, ProviderUnauthorized("no"))
    house = Exchange(tmp_path, realtime=duet, config=CONFIG)
    async with house.call() as talk:
        duet.now.hear("Who am I?")
        await anyio.sleep(0.1)
        duet.now.tell(ProviderUnavailable("gone"))
        assert (await talk.answered()).text == "Who am I?"


@pytest.mark.parametrize("turns", ["auto", "explicit"])
async def test_what_was_said_before_it_is_heard_by_the_cascade(tmp_path: Path, turns: str) -> None:
    duet = Duet(ProviderUnavailable("gone"), delay_s=2)
    async with Exchange(tmp_path, realtime=duet, config=CONFIG).call(turns=turns) as talk:
        if turns == "auto":
            await talk.ask()
        else:
            talk.call.begin_speech()
            await talk.say(0.5)
            talk.call.end_speech()
        await talk.hush(2)
        assert (await talk.answered()).text == "hello there"
    assert talk.finals() == ["hello there"]


async def test_without_one_the_call_ends(tmp_path: Path) -> None:
    duet = Duet(ProviderUnauthorized("no"))
    config = CONFIG | {"realtime": {"use": "duet"}}
    async with Exchange(tmp_path, realtime=duet, config=config).call() as talk:
        with anyio.fail_after(10):
            await talk.ended.wait()
    assert talk.reason == "provider_lost"


async def test_a_model_that_is_not_configured_is_refused(tmp_path: Path) -> None:
    house = Exchange(tmp_path, realtime=Duet(), config=CONFIG)
    with pytest.raises(ProtocolError) as caught:
        async with house.call(realtime="unknown"):
            pass
    assert caught.value.code == "invalid_request"
