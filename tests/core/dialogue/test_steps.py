"""What a finished turn tells of its steps."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from jackfield import ProtocolError, ProviderUnavailable
from jackfield.contracts.extension import Step, TurnFinished
from jackfield.contracts.llm import GenerationRequest, LLMOutput, ToolCall, ToolSpec
from jackfield.contracts.tools import ToolContext
from jackfield.dialogue.steps import MOST_STEPS, Steps, Work
from jackfield.testing import ManualClock
from jackfield.traceparent import traceparent
from jackfield_llm_echo import EchoLLM, EchoOptions
from tests.core.dialogue.stage import Stage, request

pytestmark = pytest.mark.anyio


class Weather:
    """A tool."""

    spec = ToolSpec("weather", "Tells the weather.")

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        return "Sunny."


def finished(stage: Stage) -> TurnFinished:
    (event,) = [event for event in stage.events if isinstance(event, TurnFinished)]
    return event


def told(work: Work) -> Step:
    return work.told(0.0, 10.0)


async def test_a_generation_is_a_step_with_what_it_cost(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    await stage.say("Hello there", language="en-GB")
    event = finished(stage)
    (step,) = event.steps

    assert (step.kind, step.section, step.provider, step.model) == ("llm", "llm", "echo", "echo")
    assert (step.outcome, step.reason) == ("ok", "stop")
    assert step.first_s is not None
    assert 0 <= step.began_s <= step.first_s <= step.ended_s <= event.duration_s
    assert step.usage is not None
    assert step.usage.completion_tokens == 2
    assert (event.message_type, event.language, event.error) == ("text", "en-GB", "")


async def test_each_round_and_each_tool_is_a_step(tmp_path: Path) -> None:
    stage = Stage(tmp_path, llm=EchoLLM(EchoOptions(tool="weather")), tools=[Weather()])
    await stage.say("Rain?")

    steps = finished(stage).steps
    assert [(step.kind, step.provider, step.outcome) for step in steps] == [
        ("llm", "echo", "ok"),
        ("tool", "weather", "ok"),
        ("llm", "echo", "ok"),
    ]
    assert [step.reason for step in steps] == ["tool_calls", "", "stop"]
    ends = [step.ended_s for step in steps]
    assert all(end <= step.began_s for end, step in zip(ends, steps[1:], strict=False))


async def test_the_name_of_a_tool_that_only_the_model_knows_is_told_to_nobody(tmp_path: Path) -> None:
    class Inventive:
        async def generate(self, request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
            yield "Sorry." if request.messages[-1].role == "tool" else ToolCall("1", "secret", "{}")

    stage = Stage(tmp_path, llm=Inventive(), tools=[Weather()])
    await stage.say("Rain?")

    _first, tool, _second = finished(stage).steps
    assert (tool.provider, tool.outcome) == ("", "failed")


async def test_a_turn_whose_client_leaves_cuts_its_step_off(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    async with aclosing(stage.assistant.reply(request("one two three"))) as outputs:
        await anext(outputs)

    (step,) = finished(stage).steps
    assert (step.outcome, step.error) == ("cancelled", "")


async def test_a_failure_is_told_by_the_name_of_its_class(tmp_path: Path) -> None:
    class Broken:
        async def generate(self, request: object) -> Any:
            raise ProviderUnavailable("secret-123", retry_after_s=60)
            yield

    stage = Stage(tmp_path, llm=Broken())
    with pytest.raises(ProtocolError):
        await stage.say("Hello")

    event = finished(stage)
    (step,) = event.steps
    assert (event.error, step.outcome, step.error) == ("ProviderUnavailable", "failed", "ProviderUnavailable")
    assert "secret-123" not in repr(stage.events)


async def test_the_header_of_the_request_goes_along_with_its_turn(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    token = traceparent.set("00-ab-cd-01")
    await stage.say("Hello")
    traceparent.reset(token)

    assert finished(stage).traceparent == "00-ab-cd-01"


def test_a_step_that_still_runs_is_cut_off_when_the_turn_is_told() -> None:
    clock = ManualClock(100.0)
    steps = Steps(clock)
    steps.begin("tts", name="voice")
    clock.advance(0.5)

    (step,) = steps.told(99.0)
    assert (step.began_s, step.ended_s, step.outcome) == (1.0, 1.5, "cancelled")


def test_who_fails_and_who_takes_over_is_told() -> None:
    clock = ManualClock(1.0)
    with Work("llm", None, clock, "") as work:
        work.asked("llm", "openai")
        work.failed("llm", "openai", "ProviderTimedOut")
        work.asked("llm.fallback.1", "echo")
        work.failed("llm.fallback.1", "echo", "ProviderRefused")

    first, second = told(work).troubles
    assert (first.section, first.error, first.taken_over_by) == ("llm", "ProviderTimedOut", "llm.fallback.1")
    assert (second.section, second.taken_over_by) == ("llm.fallback.1", "")
    assert (told(work).section, told(work).provider) == ("llm.fallback.1", "echo")


def test_the_steps_of_a_turn_are_bounded() -> None:
    steps = Steps(ManualClock())
    for _ in range(MOST_STEPS + 1):
        with steps.begin("tts", name="voice") as work:
            for _ in range(MOST_STEPS + 1):
                work.failed("tts", "voice", "ProviderTimedOut")

    assert len(steps.told(0.0)) == MOST_STEPS
    assert len(told(work).troubles) == MOST_STEPS


def test_steps_are_told_in_the_order_in_which_they_began() -> None:
    clock = ManualClock(5.0)
    steps = Steps(clock)
    steps.begin("llm", name="model")
    earlier = Work("stt", None, clock, "ears")
    earlier.began_s = 4.0
    steps.add(earlier)

    assert [step.kind for step in steps.told(0.0)] == ["stt", "llm"]
