"""Tools: functions that a language model may call during a turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

        :raises ToolFailed: with what the model is told instead.
        """
        ...


@runtime_checkable
class ToolSource(Protocol):
    """Tools that are known only once their source is open, and that may change while the server runs.

    An async context manager, entered while the server starts.
    """

    @property
    def tools(self) -> Sequence[Tool]:
        """The tools as they are now, in an order that stays: each turn asks. Empty before it is open.

        The same object as long as nothing has changed. Their names are unique in a server; of two tools
        with the same name the one that was configured first is offered.
        """
        ...
