"""The tokens of a turn, told at its end and counted."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from jackfield.contracts.llm import Finish, GenerationRequest, LLMOutput, ToolCall, ToolSpec, Usage
from jackfield.contracts.tools import ToolContext
from tests.core.dialogue.stage import Stage

pytestmark = pytest.mark.anyio

CALL = ToolCall("1", "parrot", "{}")


class Parrot:
    spec = ToolSpec("parrot", "Repeats.")

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        return "done"


class Script:
    """Gives its lists of outputs one after the other."""

    def __init__(self, *rounds: Sequence[LLMOutput]) -> None:
        self._rounds = list(rounds)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        for output in self._rounds.pop(0):
            yield output


async def usage(stage: Stage) -> Usage | None:
    finish = (await stage.outputs("Hello"))[-1]
    assert isinstance(finish, Finish)
    return finish.usage


async def test_the_tokens_of_all_rounds_are_told_together(tmp_path: Path) -> None:
    first: list[LLMOutput] = [CALL, Finish("tool_calls", Usage(10, 5, 3))]
    second: list[LLMOutput] = ["Hi", Finish("stop", Usage(20, 7, 4))]
    stage = Stage(tmp_path, llm=Script(first, second), tools=[Parrot()])

    assert await usage(stage) == Usage(30, 12, 7)


async def test_what_the_model_does_not_tell_is_estimated_and_said_to_be(tmp_path: Path) -> None:
    stage = Stage(tmp_path, llm=Script([CALL], ["Hi", Finish("stop", Usage(20, 7))]), tools=[Parrot()])

    found = await usage(stage)

    assert found is not None
    assert found.estimated
    assert found.prompt_tokens > 20
    assert found.completion_tokens > 7


async def test_tokens_and_tools_are_figures(tmp_path: Path) -> None:
    first: list[LLMOutput] = [CALL, Finish("tool_calls", Usage(10, 5))]
    second: list[LLMOutput] = ["Hi", Finish("stop", Usage(20, 7))]
    stage = Stage(tmp_path, llm=Script(first, second), tools=[Parrot()])
    await usage(stage)

    named = stage.figures.named
    assert named["jackfield_tokens_total"].values == {("trial", "prompt"): 30, ("trial", "completion"): 12}
    assert named["jackfield_tool_calls_total"].values == {("trial", "ok"): 1}
