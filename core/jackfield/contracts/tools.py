"""Tools: functions that a language model may call during a turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from jackfield.contracts.auth import UserId
from jackfield.contracts.llm import ToolSpec


@dataclass(frozen=True, slots=True)
class ToolContext:
    """For whom a tool is called."""

    user: UserId
    conversation: str
    """Opaque key of the conversation."""


@runtime_checkable
class Tool(Protocol):
    """A function the model may call."""

    @property
    def spec(self) -> ToolSpec:
        """What the model is told of it; the name is unique in a server."""
        ...

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        """Do it and say what came of it, in words the model can use.

        An exception becomes a result that tells the model that the tool failed, without the
        exception's text.
        """
        ...
