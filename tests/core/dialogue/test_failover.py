"""Messages and recordings whose providers fail are answered by those that stand for them."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import pytest

from jackfield.contracts.extension import ProviderTookOver, TurnFinished
from jackfield.contracts.llm import Finish, ToolCall, ToolSpec
from jackfield.contracts.tools import ToolContext
from jackfield.contracts.turn import ClipAnswer
from jackfield.errors import ContentFiltered, ProtocolError, ProviderUnavailable
from jackfield.testing import FakeLLM, FakeSTT, FakeTTS
from jackfield_llm_echo import EchoLLM, EchoOptions
from jackfield_tts_tone import ToneOptions, ToneTTS
from tests.core.dialogue.stage import Stage, request
from tests.core.dialogue.test_clip import UPLOAD, opened
from tests.core.resilience.chained import Witness

pytestmark = pytest.mark.anyio

SOON = {"timeouts": {"failover_seconds": 0.05}}


def gone() -> Exception:
    return ProviderUnavailable("gone")


def second() -> EchoLLM:
    return EchoLLM(EchoOptions(prefix="Second: "))


def waterfall(stage: Stage) -> dict[str, float]:
    return dict(next(event for event in stage.events if isinstance(event, TurnFinished)).waterfall)


async def recorded(stage: Stage) -> ClipAnswer:
    async with opened(stage):
        return await stage.assistant.reply_to_clip(request(""), UPLOAD)


@pytest.mark.parametrize(
    "first", [FakeLLM(outputs=[" "], error=gone), FakeLLM(hangs_at=0)], ids=["cuts", "hangs"]
)
async def test_a_message_is_answered_by_the_second_model(tmp_path: Path, first: FakeLLM) -> None:
    stage = Stage(tmp_path, llm=Witness().join("llm", first, second()), config=SOON)
    assert await stage.say("Hello") == "Second: Hello"
    assert await stage.stored() == [(True, "Hello"), (False, "Second: Hello")]
    assert next(iter(waterfall(stage))) == "llm_failover"


async def test_the_end_of_an_answer_names_who_gave_it(tmp_path: Path) -> None:
    chain = Witness().join("llm", FakeLLM(outputs=[], error=gone), second())
    finish = (await Stage(tmp_path, llm=chain).outputs("Hello"))[-1]
    assert isinstance(finish, Finish)
    assert (finish.provider, finish.model) == ("echo", "echo")


async def test_a_filtered_message_is_not_shown_to_another_model(tmp_path: Path) -> None:
    other = FakeLLM()
    chain = Witness().join("llm", FakeLLM(outputs=[], error=lambda: ContentFiltered("no")), other)
    with pytest.raises(ProtocolError):
        await Stage(tmp_path, llm=chain).say("Hello")
    assert other.requests == []


class Look:
    """A tool that counts."""

    called = 0

    @property
    def spec(self) -> ToolSpec:
        return ToolSpec("look", "Looks.")

    async def call(self, arguments: object, context: ToolContext) -> str:
        self.called += 1
        return "a tree"


async def test_a_model_that_fails_after_a_tool_is_replaced_and_the_tool_not_called_again(
    tmp_path: Path,
) -> None:
    class Forgetful(FakeLLM):
        def generate(self, request: Any) -> Any:
            if request.messages[-1].role == "tool":
                self.outputs, self.error = [], gone
            return super().generate(request)

    tool = Look()
    first = Forgetful(outputs=[ToolCall("1", "look", "{}"), Finish("tool_calls")])
    stage = Stage(tmp_path, llm=Witness().join("llm", first, second()), tools=[tool])
    assert await stage.say("What is there?") == "Second: a tree"
    assert tool.called == 1


async def test_a_recording_is_heard_and_answered_aloud_by_the_second_of_each(tmp_path: Path) -> None:
    witness = Witness()
    stage = Stage(
        tmp_path,
        llm=witness.join("llm", FakeLLM(outputs=[], error=gone), second()),
        stt=witness.join("stt", FakeSTT(error=gone), FakeSTT("What is that?")),
        tts=witness.join("tts", FakeTTS(pcm=[], error=gone), ToneTTS(ToneOptions(rate_hz=8000))),
    )
    witness.chains.connect(stage.events.append, stage.figures)
    found = await recorded(stage)

    assert (found.text, found.transcript) == ("Second: What is that?", "What is that?")
    assert found.clip is not None
    with wave.open(str(tmp_path / "clips" / found.clip)) as sound:
        assert sound.getframerate() == 16_000  # the first voice's rate
        assert sound.getnframes() == pytest.approx(len(found.text) * 0.06 * 16_000, rel=0.01)
    assert found.providers == {"stt": "second", "llm": "second", "tts": "second"}
    assert {"stt_failover", "llm_failover", "tts_failover"} <= waterfall(stage).keys()
    assert sum(isinstance(event, ProviderTookOver) for event in stage.events) == 3
