"""Calling the tools that a model asked for."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import anyio

from jackfield.assembly import Built, offered
from jackfield.contracts.llm import Message, ToolCall, ToolSpec
from jackfield.contracts.tools import Tool, ToolContext, ToolSource
from jackfield.contracts.turn import ToolFinished
from jackfield.errors import ToolFailed

logger = logging.getLogger(__name__)

_FAILED: Final = "The tool failed."


class Toolbox:
    """The tools of a server by name."""

    def __init__(self, tools: Sequence[Built[Tool | ToolSource]], timeout_s: float) -> None:
        self._parts = tuple(built.object for built in tools)
        self._sources = [part for part in self._parts if isinstance(part, ToolSource)]
        self._timeout_s = timeout_s
        self._seen: list[Sequence[Tool]] = []
        self._take_stock()

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """What models are told of the tools that there are now."""
        self._look()
        return self._specs

    async def call(self, call: ToolCall, context: ToolContext) -> tuple[Message, ToolFinished]:
        """Do what a call asks; a failure is a result too, in words that the model can use."""
        began_s = time.perf_counter()
        result, ok = await self._result(call, context)
        seconds = time.perf_counter() - began_s
        message = Message("tool", result, tool_call_id=call.id)
        return message, ToolFinished(call.id, call.name, ok, seconds)

    async def _result(self, call: ToolCall, context: ToolContext) -> tuple[str, bool]:
        self._look()
        tool = self._tools.get(call.name)
        if tool is None:
            return f"There is no tool {call.name}.", False
        arguments = _arguments(call.arguments)
        if arguments is None:
            return "The arguments are not a JSON object.", False
        try:
            with anyio.fail_after(self._timeout_s):
                return await tool.call(arguments, context), True
        except TimeoutError:
            logger.warning("tool %s did not answer within %g s", call.name, self._timeout_s)
            return "The tool did not answer in time.", False
        except ToolFailed as error:
            logger.warning("tool %s says that it failed", call.name)
            return str(error) or _FAILED, False
        except Exception:
            logger.exception("tool %s failed", call.name)
            return _FAILED, False

    def _look(self) -> None:
        """See whether a source has other tools than before; most servers have none, and nothing is done."""
        if any(source.tools is not seen for source, seen in zip(self._sources, self._seen, strict=True)):
            self._take_stock()

    def _take_stock(self) -> None:
        self._seen = [source.tools for source in self._sources]
        self._tools = by_name(self._parts)
        self._specs = tuple(tool.spec for tool in self._tools.values())


def by_name(parts: Iterable[Tool | ToolSource]) -> dict[str, Tool]:
    """Give the tools that there are now; of two with the same name the first is there."""
    tools: dict[str, Tool] = {}
    for tool in (tool for part in parts for tool in offered(part)):
        if tools.setdefault(tool.spec.name, tool) is not tool:
            logger.warning("two tools are named %s, and the second is not offered", tool.spec.name)
    return tools


def _arguments(text: str) -> Mapping[str, Any] | None:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
