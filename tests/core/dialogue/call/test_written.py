"""Calls without a microphone, a loudspeaker, or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from jackfield.assembly import Assembly, Providers
from jackfield.contracts.call import CallTrouble, ReplyFinished, ReplyStarted, ReplyText
from jackfield.contracts.llm import Finish, LLMOutput
from jackfield.dialogue.call.service import CallService
from jackfield.dialogue.scenarios import ScenarioTable
from jackfield.errors import ProtocolError, ProviderUnavailable
from jackfield.testing import FakeLLM, ManualLeg, VirtualClock
from tests.core.dialogue.call.talk import Exchange, call_request, scripted

pytestmark = pytest.mark.anyio

SENTENCE: Sequence[LLMOutput] = ["One two ", "three four", Finish("stop")]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


class Writing(Exchange):
    """An exchange that lacks what the test says."""

    def __init__(self, folder: Path, *lacks: str, **parts: Any) -> None:
        super().__init__(folder, **parts)
        nothing: dict[str, Any] = {"stt": Providers(None, {}), "tts": Providers(None, {}), "vad": None}
        self.assembly: Assembly = replace(self.assembly, **{name: nothing[name] for name in lacks})
        self.service = CallService(
            self.assembly,
            sessions=self.stage.sessions,
            scenarios=ScenarioTable(self.stage.config),
            order=self.stage.assistant.order,
            metrics=self.stage.figures,
            publish=self.stage.events.append,
        )


async def stored(exchange: Exchange) -> list[str]:
    return [text for _, text in await exchange.stage.stored()]


async def test_a_call_that_neither_listens_nor_speaks_needs_a_model_only(tmp_path: Path) -> None:
    exchange = Writing(tmp_path, "stt", "tts", "vad", llm=FakeLLM(outputs=SENTENCE))
    async with exchange.call(listens=False, speaks=False) as talk:
        talk.call.text("hello")
        finished = await talk.answered()

    assert (finished.text, finished.outcome) == ("One two three four", "ok")
    assert "".join(event.text for event in talk.leg.events(ReplyText)) == finished.text
    assert talk.leg.heard == []
    assert await stored(exchange) == ["hello", "One two three four"]


async def test_sound_that_is_fed_to_a_call_that_does_not_listen_is_dropped(tmp_path: Path) -> None:
    exchange = Writing(tmp_path, "stt", "vad")
    async with exchange.call(listens=False) as talk:
        talk.call.mute(on=False)
        talk.call.begin_speech()
        await talk.ask()
        talk.call.end_speech()
        assert talk.leg.told == []
        talk.call.text("hello")
        assert (await talk.answered()).outcome == "ok"

    assert talk.leg.heard_pcm(1)


async def test_a_spoken_question_is_answered_in_writing(tmp_path: Path) -> None:
    exchange = Writing(tmp_path, "tts", stt=scripted("what is new"), llm=FakeLLM(outputs=SENTENCE))
    async with exchange.call(speaks=False) as talk:
        await talk.ask()
        finished = await talk.answered()

    assert talk.leg.heard == []
    assert await stored(exchange) == ["what is new", "One two three four"]
    assert "first_token" in finished.stages
    assert "first_audio" not in finished.stages


async def test_nothing_of_an_answer_is_told_before_it_is_certain(tmp_path: Path) -> None:
    exchange = Writing(tmp_path, "tts", llm=FakeLLM(outputs=SENTENCE))
    async with exchange.call(speaks=False) as talk:
        await talk.say(0.5)
        await talk.hush(0.25)
        assert talk.leg.events(ReplyStarted) == []
        await talk.say(0.3)
        await talk.hush(0.4)
        await talk.answered()

    assert talk.started_items() == 1


async def test_what_was_shown_of_an_interrupted_answer_is_stored(tmp_path: Path) -> None:
    llm = FakeLLM(outputs=["word "] * 50, delay_s=0.1)
    exchange = Writing(tmp_path, "stt", "tts", "vad", llm=llm)
    async with exchange.call(listens=False, speaks=False) as talk:
        talk.call.text("count")
        await talk.leg.until(lambda: len(talk.leg.events(ReplyText)) == 1)
        shown = "".join(event.text for event in talk.leg.events(ReplyText))
        talk.call.interrupt()
        finished = await talk.answered()

    assert (finished.text, finished.outcome) == (shown.strip(), "interrupted")
    assert await stored(exchange) == ["count", shown.strip()]


async def test_a_greeting_is_written(tmp_path: Path) -> None:
    exchange = Writing(tmp_path, "stt", "tts", "vad", config={"assistant": {"greeting": "Good day."}})
    async with exchange.call(listens=False, speaks=False) as talk:
        finished = await talk.answered()

    assert finished.text == "Good day."
    assert await stored(exchange) == ["Good day."]


async def test_a_failure_is_told_and_the_call_goes_on(tmp_path: Path) -> None:
    llm = FakeLLM(outputs=(), error=lambda: ProviderUnavailable("down"))
    async with Writing(tmp_path, "stt", "tts", "vad", llm=llm).call(listens=False, speaks=False) as talk:
        for item in (1, 2):
            talk.call.text("hello")
            assert (await talk.answered(item)).outcome == "failed"

    assert talk.leg.events(CallTrouble) == [CallTrouble("llm_failed")] * 2


async def test_nobody_has_to_say_that_a_written_answer_was_played(tmp_path: Path) -> None:
    leg = ManualLeg()  # without a call to tell
    async with Exchange(tmp_path).service.open(call_request(speaks=False), leg) as call:
        call.text("early")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call.run)
            finished = await leg.told_of(ReplyFinished)
            call.hang_up()

    assert (finished.text, finished.outcome) == ("early", "ok")


@pytest.mark.parametrize(
    ("lacks", "changes"),
    [("stt", {"speaks": False}), ("vad", {"speaks": False}), ("tts", {"listens": False})],
)
async def test_a_call_still_needs_what_it_uses(tmp_path: Path, lacks: str, changes: dict[str, bool]) -> None:
    with pytest.raises(ProtocolError) as error:
        async with Writing(tmp_path, lacks).service.open(call_request(**changes), ManualLeg()):
            pass

    assert error.value.code == "voice_not_configured"
