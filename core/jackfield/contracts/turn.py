"""A turn: one message of a user and its answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jackfield.contracts.auth import UserId
from jackfield.contracts.llm import Finish
from jackfield.contracts.tts import Voice

Storing = Literal["pair", "nothing"]
"""When a turn is stored: the pair after success, or not at all."""


@dataclass(frozen=True, slots=True)
class ConversationRef:
    """Which conversation a turn belongs to.

    The store never sees the parts, only a digest of them (see `jackfield.dialogue.sessions`).
    """

    mount: str
    user: UserId
    session: str
    """The client's own id of the conversation."""


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """What a transport asks the assistant."""

    conversation: ConversationRef
    text: str
    """Normalised (D16), not empty."""
    transport: str
    """Name of the transport plugin, a label of metrics."""
    message_type: Literal["text", "voice"] = "text"
    username: str = ""
    """Stands for `{username}` in instructions."""
    scenario: str | None = None
    llm: str | None = None
    """A named model, instead of the default."""
    language: str | None = None
    voice: Voice | None = None
    """For spoken answers; None leaves it to preferences, the scenario and the file."""
    storing: Storing = "pair"
    first: bool = False
    """Whether this is the conversation's first message; set by the assistant."""


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """The model called a tool."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A tool call ended."""

    id: str
    name: str
    ok: bool
    seconds: float


TurnOutput = str | ToolStarted | ToolFinished | Finish


@dataclass(frozen=True, slots=True)
class ClipAnswer:
    """The answer to a recorded message.

    `clip` is the name of the stored spoken answer, None when it could not be spoken (the text stands
    all the same).
    """

    text: str
    transcript: str
    clip: str | None
