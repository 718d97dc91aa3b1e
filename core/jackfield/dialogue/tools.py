"""Calling the tools that a model asked for."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import anyio

from jackfield.assembly import Built
from jackfield.contracts.llm import Message, ToolCall, ToolSpec
from jackfield.contracts.tools import Tool, ToolContext
from jackfield.contracts.turn import ToolFinished

logger = logging.getLogger(__name__)

_FAILED: Final = "The tool failed."


class Toolbox:
    """The tools of a server by name."""

    def __init__(self, tools: Sequence[Built[Tool]], timeout_s: float) -> None:
        self._tools = {built.object.spec.name: built.object for built in tools}
        self._timeout_s = timeout_s
        self.specs: tuple[ToolSpec, ...] = tuple(tool.spec for tool in self._tools.values())

    async def call(self, call: ToolCall, context: ToolContext) -> tuple[Message, ToolFinished]:
        """Do what a call asks; a failure is a result too, in words that the model can use."""
        began_s = time.perf_counter()
        result, ok = await self._result(call, context)
        seconds = time.perf_counter() - began_s
        message = Message("tool", result, tool_call_id=call.id)
        return message, ToolFinished(call.id, call.name, ok, seconds)

    async def _result(self, call: ToolCall, context: ToolContext) -> tuple[str, bool]:
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
        except Exception:
            logger.exception("tool %s failed", call.name)
            return _FAILED, False


def _arguments(text: str) -> Mapping[str, Any] | None:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
