"""A call whose session with a speech-to-speech model is lost, or does not stand yet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from jackfield.contracts.call import CallTrouble
from jackfield.contracts.extension import ProviderFailed
from jackfield.contracts.llm import Message
from jackfield.contracts.session import StoredMessage, Window
from jackfield.errors import ProviderRateLimited, ProviderUnauthorized, ProviderUnavailable
from jackfield.testing import VirtualClock
from jackfield_session_memory import MemoryOptions, MemoryStore
from tests.core.dialogue.call.duet import MODEL_HZ, Duet
from tests.core.dialogue.call.duet_talk import LONG, exchange, lost

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


async def test_a_lost_session_is_replaced_and_told_what_was_said(tmp_path: Path) -> None:
    duet = Duet()
    house = exchange(tmp_path, duet)
    async with house.call() as talk:
        duet.now.hear("I am Ada.")
        duet.now.speak("a", "Hello Ada.", 0.5)
        await talk.answered()
        duet.now.hear("Who am I?")
        await anyio.sleep(0.1)
        duet.now.tell(ProviderUnavailable("gone"))
        await anyio.sleep(0.1)
        assert len(duet.sessions) == 2
        assert duet.now.settings.history == (Message("user", "I am Ada."), Message("assistant", "Hello Ada."))
        assert duet.now.injected == ["Who am I?"]
        duet.now.speak("a", "You are Ada.", 0.5)
        await talk.answered(2)
    assert talk.leg.events(CallTrouble) == [CallTrouble("llm_failed")]
    assert (await house.stage.stored())[2:] == [(True, "Who am I?"), (False, "You are Ada.")]
    assert [event for event in house.stage.events if isinstance(event, ProviderFailed)]


async def test_what_was_heard_of_an_answer_that_broke_off_is_kept(tmp_path: Path) -> None:
    duet = Duet()
    house = exchange(tmp_path, duet)
    async with house.call() as talk:
        duet.now.hear("Tell me of Rome.")
        duet.now.speak("a", LONG, 6, done=False)
        await talk.sounding()
        await anyio.sleep(2)
        duet.now.tell(ProviderUnavailable("gone"))
        finished = await talk.answered()
        await anyio.sleep(0.1)
        assert duet.now.settings.history[1] == Message("assistant", finished.text)
    assert LONG.startswith(finished.text)


async def test_a_session_is_lost_while_the_words_of_a_question_are_waited_for(tmp_path: Path) -> None:
    duet = Duet()
    house = exchange(tmp_path, duet)
    async with house.call() as talk:
        duet.now.hear(None)
        duet.now.speak("a", "Hello Ada.", 0.5)
        await talk.answered()
        duet.now.tell(ProviderUnavailable("gone"))
        await anyio.sleep(0.1)
        assert duet.now.settings.history == (Message("assistant", "Hello Ada."),)
        duet.now.hear("Who am I?")
        duet.now.speak("b", "You are Ada.", 0.5)
        await talk.answered(2)
    assert (await house.stage.stored())[1:] == [(True, "Who am I?"), (False, "You are Ada.")]


class SlowStore(MemoryStore):
    """Takes its time."""

    async def load(self, key: str) -> Window | None:
        found = await super().load(key)
        await anyio.sleep(0.3)
        return found

    async def append(
        self, key: str, messages: Sequence[StoredMessage], *, max_messages: int, ttl_s: float
    ) -> bool:
        await anyio.sleep(0.3)
        return await super().append(key, messages, max_messages=max_messages, ttl_s=ttl_s)


async def test_the_next_session_is_told_what_is_still_being_stored(tmp_path: Path) -> None:
    duet = Duet()
    async with exchange(tmp_path, duet, store=SlowStore(MemoryOptions())).call() as talk:
        await anyio.sleep(0.5)
        duet.now.hear("I am Ada.")
        duet.now.speak("a", "Hello Ada.", 0.5)
        await talk.answered()
        await anyio.sleep(0.1)
        duet.now.tell(ProviderUnavailable("gone"))
        await anyio.sleep(1)
        assert duet.now.settings.history == (Message("user", "I am Ada."), Message("assistant", "Hello Ada."))


async def test_the_answer_to_what_interrupts_is_not_interrupted_itself(tmp_path: Path) -> None:
    duet = Duet()
    parts = {"scenarios": {"pirate": {"instructions": "You are a pirate."}}}
    house = exchange(tmp_path, duet, config=parts, store=SlowStore(MemoryOptions()))
    async with house.call() as talk:
        await anyio.sleep(0.5)
        duet.now.hear("Tell me of Rome.")
        duet.now.speak("a", LONG, 6)
        await talk.sounding()
        talk.call.switch("pirate")  # for which the store is asked
        await anyio.sleep(0)
        duet.now.hear("Of Paris, please.")
        duet.now.speak("b", "Paris was not, either.", 0.5)
        assert (await talk.answered(2)).text == "Paris was not, either."
    assert len(duet.now.interrupted) == 1


async def test_a_call_is_idle_when_the_words_of_its_question_were_lost(tmp_path: Path) -> None:
    duet = Duet()
    idle = {"call": {"pipeline": "realtime", "idle_seconds": 20}}
    async with exchange(tmp_path, duet, config=idle).call() as talk:
        duet.now.hear(None)
        await anyio.sleep(0.1)
        duet.now.tell(ProviderUnavailable("gone"))
        await lost(talk)
    assert (len(duet.sessions), talk.reason) == (2, "idle")


async def test_what_was_said_twice_before_the_session_stands_has_one_question(tmp_path: Path) -> None:
    duet = Duet(delay_s=5.0)
    house = exchange(tmp_path, duet)
    async with house.call(turns="explicit") as talk:
        for _ in range(2):
            talk.call.begin_speech()
            await talk.say(0.5)
            talk.call.end_speech()
        await anyio.sleep(5)
        assert duet.now.commits == 1
        duet.now.write("I am Ada.")
        duet.now.speak("a", "Hello Ada.", 0.5)
        await talk.answered()
        talk.call.begin_speech()
        await talk.say(0.5)
        talk.call.end_speech()
        duet.now.write("Who am I?")
        duet.now.speak("b", "You are Ada.", 0.5)
        await talk.answered(2)
    assert await house.stage.stored() == [
        (True, "I am Ada."),
        (False, "Hello Ada."),
        (True, "Who am I?"),
        (False, "You are Ada."),
    ]


async def test_what_was_said_while_a_session_did_not_open_is_answered_by_the_next(tmp_path: Path) -> None:
    duet = Duet(ProviderRateLimited("too much"), delay_s=2.0)
    async with exchange(tmp_path, duet).call(turns="explicit") as talk:
        talk.call.begin_speech()
        await talk.say(0.5)
        talk.call.end_speech()
        await anyio.sleep(8)
        assert (len(duet.sessions), duet.now.commits) == (2, 1)
        assert len(duet.now.pushed) / 2 / MODEL_HZ == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("turns", ["auto", "explicit"])
async def test_what_is_interrupted_before_the_session_stands_is_not_answered(
    tmp_path: Path, turns: str
) -> None:
    duet = Duet(delay_s=3.0)
    async with exchange(tmp_path, duet).call(turns=turns) as talk:
        talk.call.begin_speech()
        await talk.say(0.5)
        talk.call.end_speech()
        talk.call.text("Hello")
        talk.call.interrupt()
        await anyio.sleep(3)
        assert (duet.now.commits, duet.now.injected, bytes(duet.now.pushed)) == (0, [], b"")


async def test_a_greeting_that_was_lost_with_its_session_is_said_by_the_next(tmp_path: Path) -> None:
    duet = Duet()
    house = exchange(tmp_path, duet, config={"assistant": {"greeting": "Welcome!"}})
    async with house.call() as talk:
        await anyio.sleep(0.1)
        duet.now.tell(ProviderUnavailable("gone"))
        await anyio.sleep(0.1)
        duet.now.speak("a", "Welcome!", 0.5)
        await talk.answered()
        duet.now.tell(ProviderUnavailable("gone"))
        await anyio.sleep(0.1)
    assert [session.said for session in duet.sessions] == [["Welcome!"], ["Welcome!"], []]


async def test_sound_is_kept_while_a_session_is_replaced(tmp_path: Path) -> None:
    duet = Duet(delay_s=1.0)
    async with exchange(tmp_path, duet).call() as talk:
        await talk.say(2)
    assert len(duet.now.pushed) / 2 / MODEL_HZ == pytest.approx(2, abs=0.05)


async def test_what_is_asked_before_the_session_stands_is_asked_once(tmp_path: Path) -> None:
    duet = Duet(delay_s=1.0)
    parts = {"scenarios": {"pirate": {"instructions": "You are a pirate."}}}
    async with exchange(tmp_path, duet, config=parts).call() as talk:
        await anyio.sleep(0.5)
        talk.call.text("Hello.")
        talk.call.text("How are you?")
        talk.call.switch("pirate")
        await anyio.sleep(1)
    assert duet.now.injected == ["Hello.\nHow are you?"]
    assert [settings.instructions for settings in duet.now.updates] == ["You are a pirate."]


async def test_a_model_that_is_lost_twice_ends_the_call(tmp_path: Path) -> None:
    duet = Duet(None, ProviderUnavailable("gone"))
    async with exchange(tmp_path, duet).call() as talk:
        duet.now.speak("a", "Hello.", 0.5)
        await talk.answered()
        duet.now.tell(ProviderUnavailable("gone"))
        await lost(talk)
    assert talk.reason == "provider_lost"
    assert len(duet.sessions) == 2


async def test_a_session_that_is_not_replaced_in_time_ends_the_call(tmp_path: Path) -> None:
    duet = Duet()
    async with exchange(tmp_path, duet).call() as talk:
        duet.now.speak("a", "Hello.", 0.5)
        await talk.answered()
        duet.delay_s = 60
        began_s = anyio.current_time()
        duet.now.tell(ProviderUnavailable("gone"))
        await lost(talk)
        assert anyio.current_time() - began_s == pytest.approx(5, abs=0.1)
    assert talk.reason == "provider_lost"


@pytest.mark.parametrize(
    "failure",
    [ProviderUnauthorized("no"), ProviderRateLimited("too much", retry_after_s=60)],
    ids=["unauthorized", "rate-limited"],
)
async def test_what_will_not_be_back_soon_ends_the_call_at_once(tmp_path: Path, failure: Exception) -> None:
    duet = Duet(failure)
    async with exchange(tmp_path, duet).call() as talk:
        await lost(talk)
    assert talk.reason == "provider_lost"
    assert len(duet.sessions) == 1


async def test_a_model_that_asks_to_wait_is_waited_for_and_the_user_told(tmp_path: Path) -> None:
    duet = Duet()
    async with exchange(tmp_path, duet).call() as talk:
        duet.now.hear("Who am I?")
        await anyio.sleep(0.1)
        began_s = anyio.current_time()
        duet.now.tell(ProviderRateLimited("too much", retry_after_s=7))
        apology = await talk.answered(1)
        assert anyio.current_time() - began_s < 6
        await anyio.sleep_until(began_s + 6.9)
        assert len(duet.sessions) == 1
        await anyio.sleep_until(began_s + 7.1)
        assert duet.now.injected == ["Who am I?"]
        duet.now.speak("a", "You are Ada.", 0.5)
        await talk.answered(2)
    assert (apology.outcome, apology.text) == ("failed", "")
    assert sum(len(heard.pcm) for heard in talk.leg.heard if heard.item == 1) > 48_000
    assert talk.leg.events(CallTrouble) == [CallTrouble("llm_failed")]


async def test_it_is_asked_three_times_with_longer_waits_and_the_apology_said_once(tmp_path: Path) -> None:
    duet = Duet(*[ProviderRateLimited("too much")] * 9)
    async with exchange(tmp_path, duet).call() as talk:
        apology = await talk.answered(1)
        await anyio.sleep(0.1)
        told_s = anyio.current_time()
        await lost(talk)
        assert anyio.current_time() - told_s == pytest.approx(2 + 4, abs=0.2)
    assert talk.reason == "provider_lost"
    assert (len(duet.sessions), apology.outcome, talk.started()) == (4, "failed", 1)


async def test_who_types_into_the_apology_is_answered_when_the_wait_is_over(tmp_path: Path) -> None:
    duet = Duet(ProviderRateLimited("too much"))
    async with exchange(tmp_path, duet).call() as talk:
        await talk.sounding()
        talk.call.text("Never mind.")
        assert (await talk.answered(1)).outcome == "interrupted"
        await anyio.sleep(1.1)
        assert duet.now.injected == ["Never mind."]
        duet.now.speak("a", "All right.", 0.5)
        assert (await talk.answered(2)).text == "All right."


async def test_who_only_reads_is_told_no_apology(tmp_path: Path) -> None:
    duet = Duet(ProviderRateLimited("too much"))
    async with exchange(tmp_path, duet).call(speaks=False) as talk:
        await anyio.sleep(1.1)
        assert len(duet.sessions) == 2
    assert talk.started_items() == 0
