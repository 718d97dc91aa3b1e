"""Calling tools: whatever goes wrong is a result that the model can read."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from jackfield.assembly import Built
from jackfield.contracts.auth import UserId
from jackfield.contracts.llm import Message, ToolCall, ToolSpec
from jackfield.contracts.tools import Tool, ToolContext
from jackfield.dialogue.tools import Toolbox
from jackfield.errors import ToolFailed
from jackfield.plugin import Capabilities

pytestmark = pytest.mark.anyio

CONTEXT = ToolContext(UserId("x", "y"), "k")


@dataclass
class Hammer:
    """A tool that hits, hangs or breaks."""

    error: Exception | None = None
    hangs: bool = False
    spec: ToolSpec = ToolSpec("hammer", "Hits.")
    calls: list[Mapping[str, Any]] = field(default_factory=list)

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        self.calls.append(arguments)
        if self.hangs:
            await anyio.sleep_forever()
        if self.error:
            raise self.error
        return f"hit by {context.user.subject}"


async def use(
    tool: Hammer, arguments: str = "{}", *, name: str = "hammer", timeout_s: float = 5
) -> tuple[str, bool]:
    toolbox = Toolbox([Built("extension.1", "tools", Capabilities(), tool)], timeout_s)
    message, finished = await toolbox.call(ToolCall("id-1", name, arguments), CONTEXT)
    assert message == Message("tool", message.content, tool_call_id="id-1")
    assert (finished.id, finished.name) == ("id-1", name)
    assert finished.seconds >= 0
    return message.content, finished.ok


@pytest.mark.parametrize(
    ("text", "arguments"), [("", {}), ("{}", {}), ('{"a": [1, "\\u00e9"]}', {"a": [1, "é"]})]
)
async def test_a_tool_is_called_with_its_arguments(text: str, arguments: dict[str, Any]) -> None:
    hammer = Hammer()

    assert await use(hammer, text) == ("hit by y", True)
    assert hammer.calls == [arguments]


@pytest.mark.parametrize("text", ["{", "[1]", "3", "null", '"text"', "[" * 100_000])
async def test_arguments_that_are_no_object_never_reach_the_tool(text: str) -> None:
    hammer = Hammer()

    assert await use(hammer, text) == ("The arguments are not a JSON object.", False)
    assert hammer.calls == []


async def test_a_tool_that_is_not_there_is_said_to_be_missing() -> None:
    assert await use(Hammer(), name="saw") == ("There is no tool saw.", False)


async def test_a_tool_that_hangs_is_left() -> None:
    assert await use(Hammer(hangs=True), timeout_s=0.01) == ("The tool did not answer in time.", False)


async def test_what_an_exception_says_reaches_the_log_and_not_the_model(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        assert await use(Hammer(error=RuntimeError("secret-123"))) == ("The tool failed.", False)

    assert "secret-123" in caplog.text


async def test_what_a_tool_says_of_its_failure_reaches_the_model_and_not_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert await use(Hammer(error=ToolFailed("The nail secret-123 is bent."))) == (
            "The nail secret-123 is bent.",
            False,
        )
        assert await use(Hammer(error=ToolFailed())) == ("The tool failed.", False)

    assert "tool hammer says that it failed" in caplog.text
    assert "secret-123" not in caplog.text


async def test_a_cancelled_turn_cancels_its_tool() -> None:
    with anyio.move_on_after(0.01) as scope:
        await use(Hammer(hangs=True))

    assert scope.cancelled_caught


async def test_models_are_told_of_every_tool() -> None:
    toolbox = Toolbox([Built("extension.1", "tools", Capabilities(), Hammer())], 1)

    assert toolbox.specs == (ToolSpec("hammer", "Hits."),)


@dataclass
class Workshop:
    """A source of tools."""

    tools: Sequence[Tool] = ()


def named(name: str) -> Hammer:
    return Hammer(spec=ToolSpec(name, "Hits."))


async def test_tools_of_a_source_are_offered_from_when_it_has_them_and_as_long() -> None:
    workshop = Workshop()
    parts = [Built("extension.1", "a", Capabilities(), part) for part in (workshop, named("saw"))]
    toolbox = Toolbox(parts, 1)
    before = toolbox.specs

    workshop.tools = [named("hammer"), named("axe")]
    full = [spec.name for spec in toolbox.specs]
    hit, _ = await toolbox.call(ToolCall("1", "axe", "{}"), CONTEXT)
    workshop.tools = []
    missed, _ = await toolbox.call(ToolCall("2", "axe", "{}"), CONTEXT)

    assert [spec.name for spec in before] == ["saw"]
    assert full == ["hammer", "axe", "saw"]
    assert (hit.content, missed.content) == ("hit by y", "There is no tool axe.")
    assert toolbox.specs == before


async def test_what_is_told_of_tools_is_made_once_while_nothing_changes() -> None:
    workshop = Workshop([named("hammer")])
    toolbox = Toolbox([Built("extension.1", "a", Capabilities(), workshop)], 1)

    assert toolbox.specs is toolbox.specs


async def test_of_two_tools_with_one_name_the_first_is_offered_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, second = named("hammer"), Workshop()
    toolbox = Toolbox([Built("extension.1", "a", Capabilities(), part) for part in (first, second)], 1)
    second.tools = [named("hammer")]

    await toolbox.call(ToolCall("1", "hammer", "{}"), CONTEXT)

    assert first.calls == [{}]
    assert "two tools are named hammer" in caplog.text
