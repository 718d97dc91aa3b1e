"""A turn: one message of a user and its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from jackfield.contracts.auth import UserId
from jackfield.contracts.llm import Finish, Message
from jackfield.contracts.session import Record
from jackfield.contracts.tts import Voice


@dataclass(frozen=True, slots=True)
class Recording:
    """Where a turn is kept as records, in a conversation that lasts."""

    owner: str
    """The user of the records, as `Sessions.owner` gives it."""
    conversation: str
    """Id of a conversation of that user."""
    question_first: bool = False
    """Add the question as soon as the turn has a place in the order of turns, and mark it unanswered when
    there is no answer. Otherwise both are added when the answer is complete, as one step."""
    remembered: int | None = None
    """How many messages the model is told, the newest records and the question; nothing is then read from the
    conversation's window or added to it. None leaves remembering to the window."""
    title: str | None = None
    """The conversation need not exist yet: it is then added, titled so, with the turn's first record, and is
    not there when that cannot be added. Empty means the beginning of the question."""


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
    recording: Recording | None = None
    """For conversations that last; what `storing` says holds for the window alone."""
    answered_by: str = ""
    """Section, plugin and models that are asked; told to extensions that stand around the turn."""
    opening: tuple[Message, ...] = field(default=(), repr=False)
    """What the prompt begins with, the user's name in its place; told to extensions that stand around the
    turn, and cannot be changed by them."""


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


@dataclass(frozen=True, slots=True)
class Recorded:
    """A message of the turn was added to the records: the question, or the answer."""

    record: Record


TurnOutput = str | ToolStarted | ToolFinished | Recorded | Finish


@dataclass(frozen=True, slots=True)
class ClipAnswer:
    """The answer to a recorded message.

    `clip` is the name of the stored spoken answer, None when it could not be spoken (the text stands
    all the same).
    """

    text: str
    transcript: str
    clip: str | None
    cached: bool | None = None
    """As in `Finish`."""
    providers: Mapping[str, str] = field(default_factory=dict)
    """As in `contracts.call.ReplyFinished`."""
