"""The user speaks while the answer is heard."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest

from jackfield.contracts.call import ReplyFinished, ReplyStarted, SpeechStarted, SpeechStopped, UserText
from jackfield.contracts.extension import TurnFinished
from jackfield.contracts.llm import Finish, GenerationRequest, LLMOutput
from jackfield.testing import FakeLLM, FakeSTT, VirtualClock
from tests.core.dialogue.call.talk import LETTER_S, Exchange, Talk, scripted

pytestmark = pytest.mark.anyio

LONG = "Rome was not built in a day. Nor was Paris, nor was Berlin. It all took quite some time, as it does."
CAREFUL = {"call": {"min_words": 2}}


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


def talker() -> FakeLLM:
    """A model with a lot to say."""
    return FakeLLM(outputs=[*(f"{word} " for word in LONG.split()), Finish("stop")])


async def interrupted(talk: Talk, after_s: float = 2.0) -> ReplyFinished:
    """Ask, hear the answer for a while, and speak."""
    await talk.ask()
    await talk.sounding()
    await talk.hush(after_s)
    await talk.say(0.5)
    return await talk.answered()


async def test_the_answer_falls_silent_when_the_user_speaks(tmp_path: Path) -> None:
    async with Exchange(tmp_path, llm=talker()).call() as talk:
        await talk.ask()
        await talk.sounding()
        await talk.hush(1)
        began_s = anyio.current_time()
        await talk.say(0.5)
        assert not talk.leg.playing

    silent_s = max(heard.at_s + len(heard.pcm) / 48_000 for heard in talk.leg.heard)
    assert silent_s - began_s <= 0.15


async def test_a_click_does_not_interrupt(tmp_path: Path) -> None:
    async with Exchange(tmp_path, llm=talker()).call() as talk:
        await talk.ask()
        await talk.sounding()
        await talk.say(0.04)
        finished = await talk.answered()

    assert finished.outcome == "ok"


async def test_what_was_heard_is_told_and_stored(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, llm=talker(), stt=scripted("tell me", "stop"))
    async with exchange.call() as talk:
        finished = await interrupted(talk)

    assert finished.outcome == "interrupted"
    assert LONG.startswith(finished.text)
    heard_s = len(talk.leg.heard_pcm(1)) / 48_000
    assert len(finished.text) == pytest.approx(heard_s / LETTER_S, abs=10)
    assert await exchange.stage.stored() == [(True, "tell me"), (False, finished.text)]


async def test_the_next_prompt_knows_what_was_heard(tmp_path: Path) -> None:
    llm = talker()
    async with Exchange(tmp_path, llm=llm, stt=scripted("tell me", "stop")).call() as talk:
        finished = await interrupted(talk)
        await talk.hush(0.4)
        await talk.sounding(2)

    assert [message.content for message in llm.requests[-1].messages[1:]] == [
        "tell me",
        finished.text,
        "stop",
    ]


async def test_an_interrupted_model_is_stopped(tmp_path: Path) -> None:
    llm = FakeLLM(outputs=["One sentence. ", "Another. ", Finish("stop")], hangs_at=2)
    async with Exchange(tmp_path, llm=llm).call() as talk:
        await interrupted(talk, 0.5)
        await anyio.wait_all_tasks_blocked()
        assert llm.closed == 1


async def test_the_interruption_is_in_events_and_figures(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, llm=talker())
    async with exchange.call() as talk:
        finished = await interrupted(talk)

    turn = next(event for event in exchange.stage.events if isinstance(event, TurnFinished))
    assert turn.outcome == "interrupted"
    assert turn.waterfall["interrupted"] == finished.stages["interrupted"]
    assert exchange.stage.figures.named["jackfield_call_interruptions_total"].values == {("trial",): 1}


async def test_an_answer_of_which_no_word_was_heard_leaves_its_question_open(tmp_path: Path) -> None:
    llm = talker()
    exchange = Exchange(tmp_path, llm=llm, stt=scripted("tell me", "about Rome"))
    async with exchange.call() as talk:
        await talk.ask()
        await talk.sounding()
        await talk.ask(0.5)
        await talk.sounding(2)
        assert llm.requests[-1].messages[-1].content == "tell me about Rome"
        assert await exchange.stage.stored() == []


async def test_a_typed_message_interrupts(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, llm=talker(), stt=scripted("tell me"))
    async with exchange.call() as talk:
        await talk.ask()
        await talk.sounding()
        await talk.hush(1)
        talk.call.text("enough")
        assert talk.leg.events(ReplyFinished)[0].outcome == "interrupted"
        await talk.answered(2)

    assert [text for _, text in await exchange.stage.stored()][2:] == ["enough", LONG]


async def test_a_client_that_begins_speech_interrupts(tmp_path: Path) -> None:
    async with Exchange(tmp_path, llm=talker()).call(turns="explicit") as talk:
        talk.call.text("hello")
        await talk.sounding()
        await talk.hush(1)
        talk.call.begin_speech()
        assert talk.leg.events(ReplyFinished)[0].outcome == "interrupted"
        assert not talk.leg.playing


async def test_a_client_may_stop_an_answer(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, llm=talker())
    async with exchange.call() as talk:
        await talk.ask()
        await talk.sounding()
        await talk.hush(1)
        talk.call.interrupt()
        await talk.hush(2)

    assert talk.started() == 1
    assert len(await exchange.stage.stored()) == 2


async def test_a_question_whose_answer_was_stopped_before_it_was_heard_is_forgotten(tmp_path: Path) -> None:
    llm = FakeLLM(delay_s=1.0)
    async with Exchange(tmp_path, llm=llm, stt=scripted("tell me", "the time")).call() as talk:
        await talk.ask()
        talk.call.interrupt()
        await talk.ask()
        await talk.answered(2)

    assert llm.requests[-1].messages[-1].content == "the time"


async def test_a_question_that_is_still_being_recognised_is_forgotten_as_well(tmp_path: Path) -> None:
    async with Exchange(tmp_path, stt=scripted("tell me", delay_s=1.0)).call() as talk:
        await talk.ask()
        talk.call.interrupt()
        await talk.hush(2)

    assert talk.leg.events(ReplyStarted) == []


async def test_nothing_of_an_interrupted_answer_is_played_or_shown_later(tmp_path: Path) -> None:
    class Deaf(FakeLLM):
        """A model that goes on for a while when it is told to stop."""

        async def generate(self, request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
            self.requests.append(request)
            mine = len(self.requests)
            for _ in range(100):
                with anyio.CancelScope(shield=mine == 1):
                    await anyio.sleep(0.1)
                yield f"This is answer {mine}. "
            yield Finish("stop")

    async with Exchange(tmp_path, llm=Deaf()).call() as talk:
        await talk.ask()
        await talk.sounding()
        await talk.hush(1)
        await talk.ask()
        await talk.sounding(2)
        await talk.hush(1)

    assert "answer 1" not in talk.leg.shown(2)
    items = [heard.item for heard in talk.leg.heard]
    assert items == sorted(items)


# With a minimum of words.


async def test_the_answer_pauses_until_there_are_words(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, llm=talker(), stt=scripted("tell me", "stop it now"), config=CAREFUL)
    async with exchange.call() as talk:
        await talk.ask()
        await talk.sounding()
        await talk.hush(1)
        await talk.say(0.2)
        assert talk.leg.paused
        assert talk.leg.events(ReplyFinished) == []
        await talk.say(0.5)
        assert talk.leg.events(ReplyFinished)[0].outcome == "interrupted"
        await talk.hush(0.4)
        await talk.sounding(2)

    assert talk.finals() == ["tell me", "stop it now"]


async def test_partial_transcripts_decide_about_an_interruption(tmp_path: Path) -> None:
    stt = scripted("tell me", "one two three four five six seven eight", partials=True)
    exchange = Exchange(tmp_path, llm=talker(), stt=stt, partials=True, config=CAREFUL)
    async with exchange.call() as talk:
        await talk.ask()
        await talk.sounding()
        await talk.hush(1)
        await talk.say(0.4)
        assert talk.leg.events(ReplyFinished)[0].outcome == "interrupted"


async def test_the_answer_goes_on_where_it_stopped_when_there_were_too_few_words(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, llm=talker(), stt=scripted("tell me", "mhm"), config=CAREFUL)
    async with exchange.call() as talk:
        await talk.ask()
        await talk.sounding()
        await talk.hush(1)
        await talk.ask(0.3)
        assert not talk.leg.paused
        finished = await talk.answered()

    assert (finished.outcome, finished.text) == ("ok", LONG)
    assert len(talk.leg.heard_pcm(1)) / 48_000 == pytest.approx(len(LONG) * LETTER_S, rel=0.05)
    assert len(talk.leg.events(SpeechStarted)) == len(talk.leg.events(SpeechStopped)) == 2


async def test_too_few_words_are_neither_told_nor_answered(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, llm=talker(), stt=scripted("tell me", "mhm"), config=CAREFUL)
    async with exchange.call() as talk:
        await talk.ask()
        await talk.sounding()
        await talk.ask(0.3)
        await talk.answered()

    assert {event.text for event in talk.leg.events(UserText)} == {"tell me"}
    assert await exchange.stage.stored() == [(True, "tell me"), (False, LONG)]


async def test_the_last_transcript_decides_when_none_came_before(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, llm=talker(), stt=FakeSTT("stop it", delay_s=0.3), config=CAREFUL)
    async with exchange.call() as talk:
        await talk.ask()
        await talk.sounding()
        await talk.hush(1)
        await talk.ask(0.2)
        assert talk.leg.paused
        await talk.hush(0.3)
        assert talk.leg.events(ReplyFinished)[0].outcome == "interrupted"
        await talk.sounding(2)


async def test_an_answer_stays_paused_while_the_user_begins_again(tmp_path: Path) -> None:
    stt = scripted("tell me", "mhm", "yes", delay_s=0.5)
    async with Exchange(tmp_path, llm=talker(), stt=stt, config=CAREFUL).call() as talk:
        await talk.ask()
        await talk.sounding()
        await talk.ask(0.2)
        await talk.say(0.4)
        assert talk.leg.paused
        await talk.hush(1.4)
        assert not talk.leg.paused
        finished = await talk.answered()

    assert finished.text == LONG
