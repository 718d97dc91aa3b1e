"""A call from end to end: turns, interruptions, and what is remembered of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from jackfield.contracts.call import (
    ReplyFinished,
    ReplyStarted,
    SpeechStarted,
    SpeechStopped,
    UserText,
)
from jackfield.contracts.extension import TurnFinished
from jackfield.contracts.llm import Finish, GenerationRequest, LLMOutput
from jackfield.contracts.stt import STTStream, Transcript, TranscriptionSettings
from jackfield.testing import FakeLLM, FakeSTT, VirtualClock
from jackfield_llm_echo import EchoLLM, EchoOptions
from jackfield_stt_scripted import ScriptedOptions, ScriptedStream, ScriptedSTT
from tests.core.dialogue.call.talk import RATE_HZ, Exchange, scripted
from tests.core.dialogue.test_turn import Parrot

pytestmark = pytest.mark.anyio

QUESTION = "what is the time in Rome"


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


# Turns.


async def test_what_was_said_is_answered_aloud_and_stored(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, stt=scripted(QUESTION))
    async with exchange.call() as talk:
        await talk.ask()
        finished = await talk.answered()

    assert (finished.text, finished.outcome) == (QUESTION, "ok")
    assert talk.leg.shown(1) == QUESTION
    assert await exchange.stage.stored() == [(True, QUESTION), (False, QUESTION)]


async def test_events_of_a_turn_come_in_order(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, stt=scripted(QUESTION))
    async with exchange.call() as talk:
        await talk.ask()
        await talk.answered()

    kinds = list(dict.fromkeys(type(event).__name__ for _, event in talk.leg.told))
    assert kinds == [
        "SpeechStarted", "UserText", "SpeechStopped", "ReplyStarted", "ReplyText", "ReplyFinished",
    ]  # fmt: skip
    assert [event.final for event in talk.leg.events(UserText)] == [False, True]


async def test_with_explicit_turns_the_client_says_where_they_end(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, stt=scripted(QUESTION))
    async with exchange.call(turns="explicit") as talk:
        await talk.say(0.5)
        await talk.hush(2)
        assert talk.started() == 0
        talk.call.end_speech()
        finished = await talk.answered()

    assert finished.text == QUESTION


async def test_explicit_turns_need_no_detector_of_speech(tmp_path: Path) -> None:
    class Deaf:
        window_samples = 512

        def stream(self) -> Deaf:
            raise AssertionError("nobody should ask it")

        def feed(self, window: bytes) -> float:
            return 0.0

    async with Exchange(tmp_path, vad=Deaf()).call(turns="explicit") as talk:
        await talk.say(0.2)
        talk.call.end_speech()
        await talk.answered()


@pytest.mark.parametrize(("turns", "gated"), [("auto", True), ("explicit", False)])
async def test_the_recogniser_is_told_whether_a_detector_gates_the_sound(
    tmp_path: Path, turns: str, gated: bool
) -> None:
    told: list[bool] = []

    class Told(FakeSTT):
        def stream(self, settings: TranscriptionSettings) -> STTStream:
            told.append(settings.gated)
            return super().stream(settings)

    async with Exchange(tmp_path, stt=Told(text=QUESTION)).call(turns=turns) as talk:
        await talk.say(0.5)
        await talk.hush(1)
        talk.call.end_speech()
        await talk.answered()

    assert told == [gated]


async def test_sound_of_before_the_beginning_that_the_client_told_is_forgotten(tmp_path: Path) -> None:
    stt = FakeSTT(text=QUESTION)
    async with Exchange(tmp_path, stt=stt).call(turns="explicit") as talk:
        await talk.say(0.5)
        talk.call.begin_speech()
        await talk.say(0.2)
        talk.call.end_speech()
        await talk.answered()

    assert talk.finals() == [QUESTION]
    assert len(stt.utterances[-1]) == 2 * RATE_HZ // 5


async def test_a_cough_is_not_answered(tmp_path: Path) -> None:
    async with Exchange(tmp_path, stt=FakeSTT(text="")).call() as talk:
        await talk.ask()
        await talk.hush(2)

    assert talk.leg.events(ReplyStarted) == []
    assert [type(event) for _, event in talk.leg.told] == [SpeechStarted, SpeechStopped]


async def test_the_turns_of_a_call_are_told_of_to_the_model(tmp_path: Path) -> None:
    llm = FakeLLM()
    async with Exchange(tmp_path, llm=llm, stt=scripted("first", "second")).call() as talk:
        await talk.ask()
        await talk.answered(1)
        await talk.ask()
        await talk.answered(2)

    assert [message.content for message in llm.requests[-1].messages[1:]] == [
        "first",
        "Hello there.",
        "second",
    ]


async def test_a_typed_message_is_answered_aloud(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)
    async with exchange.call() as talk:
        talk.call.text(" typed ")
        finished = await talk.answered()

    assert finished.text == "typed"
    assert [message.type for message in (await exchange.stage.window()).messages] == ["text", "text"]


class Prompt:
    """A model that notes at each of its words whether its first ones are to be heard already."""

    def __init__(self) -> None:
        self.heard: list[bool] = []
        self.sounds: Callable[[], bool] = bool

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        for words in ("Yes, ", "I can hear you quite well, ", "and so on, ", "and so on."):
            self.heard.append(self.sounds())
            yield words
        yield Finish("stop")


async def test_the_sound_of_the_first_clause_does_not_wait_for_words_behind_it(tmp_path: Path) -> None:
    llm = Prompt()
    async with Exchange(tmp_path, llm=llm).call() as talk:
        llm.sounds = lambda: talk.leg.playing
        talk.call.text("can you hear me")
        await talk.answered()

    assert llm.heard == [False, False, True, True]


async def test_a_typed_message_without_words_is_none(tmp_path: Path) -> None:
    async with Exchange(tmp_path).call() as talk:
        talk.call.text(" \x00 ")
        await anyio.wait_all_tasks_blocked()

    assert talk.leg.told == []


async def test_the_recogniser_may_say_that_the_user_has_finished(tmp_path: Path) -> None:
    class Hasty(FakeSTT):
        async def recognize(self, pcm: bytes, settings: TranscriptionSettings) -> Transcript:
            return replace(await super().recognize(pcm, settings), end_of_turn=True)

    async with Exchange(tmp_path, stt=Hasty(text=QUESTION)).call() as talk:
        await talk.say(0.5)
        await talk.hush(0.2)
        assert talk.leg.events(SpeechStopped)
        await talk.answered()


async def test_the_waterfall_begins_where_the_user_fell_silent(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, llm=EchoLLM(EchoOptions(delay_s=0.1)), stt=scripted("one", delay_s=0.05))
    async with exchange.call() as talk:
        await talk.ask()
        finished = await talk.answered()

    stages = dict(finished.stages)
    assert next(iter(stages)) == "speech_end"
    assert stages["speech_end"] == 0
    assert stages["endpoint"] == pytest.approx(0.32, abs=0.04)
    assert set(stages) == {
        "speech_end", "endpoint", "transcript", "first_token", "answered", "first_sentence", "first_audio",
        "played",
    }  # fmt: skip
    assert dict(next(e for e in exchange.stage.events if isinstance(e, TurnFinished)).waterfall) == stages


async def test_a_turn_is_told_of_to_observers(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)
    async with exchange.call() as talk:
        await talk.ask()
        await talk.answered()

    assert exchange.stage.kinds() == [
        "CallStarted", "TurnStarted", "TurnFinished", "SessionOpened", "CallEnded",
    ]  # fmt: skip


# Beginning before it is certain that the user has finished.


async def test_the_answer_is_ready_when_it_is_certain_that_the_user_has_finished(tmp_path: Path) -> None:
    llm = EchoLLM(EchoOptions(delay_s=0.05))
    async with Exchange(tmp_path, llm=llm, stt=scripted("one two", delay_s=0.05)).call() as talk:
        await talk.ask()
        finished = await talk.answered()

    assert finished.stages["first_token"] < finished.stages["endpoint"]
    assert finished.stages["first_audio"] == pytest.approx(finished.stages["transcript"])


async def test_nothing_is_told_of_an_answer_before_the_turn_is_over(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)
    async with exchange.call() as talk:
        await talk.say(0.5)
        await talk.hush(0.28)
        assert exchange.stage.kinds() == ["CallStarted"]
        assert talk.leg.events(ReplyStarted) == []
        assert talk.leg.heard == []


async def test_an_answer_is_thrown_away_when_the_user_goes_on(tmp_path: Path) -> None:
    llm = FakeLLM()
    exchange = Exchange(tmp_path, llm=llm, stt=FakeSTT())
    async with exchange.call() as talk:
        await talk.say(0.5)
        await talk.hush(0.2)
        await talk.ask()
        await talk.answered()

    assert len(llm.requests) == 2
    assert talk.started() == 1
    assert exchange.stage.kinds().count("TurnStarted") == 1


async def test_an_answer_to_words_that_turn_out_otherwise_is_thrown_away(tmp_path: Path) -> None:
    class Fickle(ScriptedSTT):
        """Its finals are not what its guesses were."""

        def stream(self, settings: TranscriptionSettings) -> ScriptedStream:
            stream = super().stream(settings)
            checkpoint = stream.checkpoint

            def guess() -> None:
                checkpoint()
                stream._ready[-1] = replace(stream._ready[-1], text="something else")

            stream.checkpoint = guess  # type: ignore[method-assign]  # the smallest change there is
            return stream

    llm = FakeLLM()
    stt = Fickle(ScriptedOptions(transcripts=(QUESTION,)))
    exchange = Exchange(tmp_path, llm=llm, stt=stt)
    async with exchange.call() as talk:
        await talk.ask()
        await talk.answered()

    assert [request.messages[-1].content for request in llm.requests] == ["something else", QUESTION]
    assert await exchange.stage.stored() == [(True, QUESTION), (False, "Hello there.")]


async def test_a_transcript_is_not_made_twice(tmp_path: Path) -> None:
    stt = FakeSTT()
    async with Exchange(tmp_path, stt=stt).call() as talk:
        await talk.ask()
        await talk.answered()

    assert len(stt.utterances) == 1


async def test_no_model_is_asked_early_where_the_file_forbids_it(tmp_path: Path) -> None:
    llm = FakeLLM()
    exchange = Exchange(tmp_path, llm=llm, config={"call": {"speculative": False}})
    async with exchange.call() as talk:
        await talk.say(0.5)
        await talk.hush(0.28)
        assert llm.requests == []
        await talk.hush(0.2)
        await talk.answered()


async def test_no_tool_is_called_before_the_turn_is_over(tmp_path: Path) -> None:
    parrot = Parrot()
    exchange = Exchange(tmp_path, llm=EchoLLM(EchoOptions(tool="parrot")), tools=[parrot])
    async with exchange.call() as talk:
        await talk.say(0.5)
        await talk.hush(0.28)
        assert parrot.contexts == []
        await talk.hush(0.2)
        await talk.answered()

    assert len(parrot.contexts) == 1
    assert [type(e).__name__ for _, e in talk.leg.told if "Tool" in type(e).__name__] == [
        "ToolStarted", "ToolFinished",
    ]  # fmt: skip


# Going on.


async def test_a_user_who_goes_on_before_anything_was_heard_is_answered_once(tmp_path: Path) -> None:
    llm = FakeLLM(delay_s=0.5)
    exchange = Exchange(tmp_path, llm=llm, stt=scripted("what is the time", "in Rome"))
    async with exchange.call() as talk:
        await talk.ask()
        await talk.ask()
        finished = await talk.answered(2)

    assert llm.requests[-1].messages[-1].content == "what is the time in Rome"
    assert finished.outcome == "ok"
    assert [event.text for event in talk.leg.events(ReplyFinished)] == ["", "Hello there."]
    assert await exchange.stage.stored() == [(True, "what is the time in Rome"), (False, "Hello there.")]


async def test_a_question_is_answered_when_what_interrupted_it_was_a_cough(tmp_path: Path) -> None:
    class Cough(FakeSTT):
        async def recognize(self, pcm: bytes, settings: TranscriptionSettings) -> Transcript:
            text = QUESTION if len(pcm) > 2 * RATE_HZ * 0.9 else ""
            return replace(await super().recognize(pcm, settings), text=text)

    llm = FakeLLM(delay_s=0.5)
    exchange = Exchange(tmp_path, llm=llm, stt=Cough())
    async with exchange.call() as talk:
        await talk.ask(1.0)
        await talk.ask(0.1)
        await talk.answered(2)

    assert talk.finals() == [QUESTION]
    assert await exchange.stage.stored() == [(True, QUESTION), (False, "Hello there.")]


async def test_a_user_who_speaks_again_while_the_recogniser_is_at_work_is_answered_once(
    tmp_path: Path,
) -> None:
    llm = FakeLLM()
    stt = scripted("what is the time", "in Rome", delay_s=0.6)
    async with Exchange(tmp_path, llm=llm, stt=stt).call() as talk:
        await talk.ask()
        await talk.ask()
        await talk.answered()

    assert [request.messages[-1].content for request in llm.requests] == ["what is the time in Rome"]


async def test_a_message_typed_while_the_user_waits_is_answered_with_what_was_said(tmp_path: Path) -> None:
    llm = FakeLLM(delay_s=0.5)
    async with Exchange(tmp_path, llm=llm, stt=scripted("what is the time")).call() as talk:
        await talk.ask()
        talk.call.text("in Rome")
        await talk.answered(2)

    assert llm.requests[-1].messages[-1].content == "what is the time in Rome"
