"""Extensions: what may stand around turns, look at uploads and be told of events."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from jackfield.contracts.llm import Usage
from jackfield.contracts.turn import TurnOutput, TurnRequest


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. Holds no text, transcript, prompt, sound or secret."""

    at_s: float = field(default_factory=time.time, kw_only=True, compare=False)
    """When, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class ServerStarted(Event):
    """Everything is open and requests are accepted."""


@dataclass(frozen=True, slots=True)
class SessionOpened(Event):
    """A conversation's first turn was stored."""

    transport: str
    session: str
    """Opaque key."""


@dataclass(frozen=True, slots=True)
class SessionClosed(Event):
    """A conversation ended or expired."""

    transport: str
    session: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class TurnStarted(Event):
    """A user's message is about to be answered."""

    transport: str
    session: str
    turn: str


StepKind = Literal["stt", "llm", "tool", "tts"]


@dataclass(frozen=True, slots=True)
class Trouble:
    """A provider of a chain that failed within a step."""

    at_s: float
    """Seconds since the turn began."""
    section: str
    provider: str
    error: str
    """The class name of the error."""
    taken_over_by: str = ""
    """Section of the provider that was asked next; empty where none was."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one provider or one tool did in a turn. Times are in seconds since the turn began."""

    kind: StepKind
    section: str
    """Section of the file; of a chain, that of the member that was asked last."""
    provider: str
    """The plugin; of a tool its name, empty where the model wanted one that does not exist."""
    began_s: float
    """STT in a call: when the user fell silent."""
    ended_s: float
    """When the last output had come, and was taken."""
    first_s: float | None = None
    """When the first output of use came: a text that is not blank, a tool call, sound."""
    outcome: str = "ok"
    """`ok`, `failed` or `cancelled`."""
    error: str = ""
    """The class name of the error."""
    requested_model: str = ""
    """LLM: the model that is configured; empty where that is not known."""
    model: str = ""
    """LLM: the model that answered, in the provider's words."""
    reason: str = ""
    """LLM: as in `Finish`."""
    usage: Usage | None = None
    """LLM: what the step cost."""
    troubles: tuple[Trouble, ...] = ()


@dataclass(frozen=True, slots=True)
class TurnFinished(Event):
    """A turn ended. `waterfall` maps stage names to seconds since the turn began."""

    transport: str
    session: str
    turn: str
    outcome: str
    """`ok`, `failed`, `cancelled`, or `interrupted` by the user while the answer was spoken."""
    waterfall: Mapping[str, float] = field(default_factory=dict)
    duration_s: float = 0.0
    """Seconds from the turn's beginning to its end."""
    steps: tuple[Step, ...] = ()
    """In the order in which they began."""
    message_type: str = "text"
    """`text` or `voice`."""
    language: str | None = None
    """BCP 47 tag that was asked for."""
    error: str = ""
    """The class name of the error that it failed of, where that was the model's or the server's."""
    call: str = ""
    """Name of the call that it was a turn of, as in `CallStarted`."""
    traceparent: str = ""
    """The client's header of this name (W3C Trace Context), as it came."""


@dataclass(frozen=True, slots=True)
class CallStarted(Event):
    """A live call began."""

    transport: str
    session: str
    """Opaque key of the conversation."""
    call: str
    """Names the call in events and in the log."""
    traceparent: str = ""
    """The client's header of this name (W3C Trace Context), as it came."""


@dataclass(frozen=True, slots=True)
class CallEnded(Event):
    """A live call ended."""

    transport: str
    session: str
    call: str
    reason: str
    """Why, as in `contracts.call.EndReason`."""
    duration_s: float


@dataclass(frozen=True, slots=True)
class CallDigit(Event):
    """The user pressed a key of the telephone during a call."""

    transport: str
    session: str
    call: str
    digit: str


@dataclass(frozen=True, slots=True)
class ProviderFailed(Event):
    """A provider did not do its work; `error` is the class name of the error."""

    section: str
    provider: str
    error: str
    call: str = ""
    """Name of the call whose ears it was, as in `CallStarted`."""


@dataclass(frozen=True, slots=True)
class ProviderTookOver(Event):
    """A provider that failed was left for the next of its chain, before it had said anything of use."""

    left: str
    """Section of the one that failed."""
    section: str
    """Section of the one that took over."""
    provider: str
    """The plugin that took over."""
    error: str
    """The class name of the error."""


@runtime_checkable
class Observer(Protocol):
    """Told of events by a task of its own, over a bounded queue that drops the oldest."""

    async def observe(self, event: Event) -> None:
        """Take one event. An exception is logged and the next event comes all the same."""
        ...


@runtime_checkable
class BatchObserver(Observer, Protocol):
    """An observer that takes events together, which costs a turn next to nothing; optional."""

    every_s: float
    """Seconds after which it is told of what has happened meanwhile. A crowd of events comes sooner."""

    async def observe_all(self, events: Sequence[Event]) -> None:
        """Take events, in the order in which they happened; called instead of `observe`.

        Called with none as well, so that it may tend to what came before.
        """
        ...


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that a client sent, before anything has decoded it."""

    data: bytes = field(repr=False)
    media_type: str


@runtime_checkable
class Scanner(Protocol):
    """An upload scanner."""

    async def scan(self, upload: Upload) -> bool:
        """True when the upload is clean, False when it must be refused.

        Without an answer within `scan_seconds` of the `[timeouts]` it is cancelled, and the upload refused.

        :raises ProviderError: when it cannot say.
        """
        ...


Answer = Callable[[TurnRequest], AsyncGenerator[TurnOutput, None]]


@runtime_checkable
class TurnWrapper(Protocol):
    """Something that stands around whole turns."""

    def around_turn(self, request: TurnRequest, answer: Answer) -> AsyncGenerator[TurnOutput, None]:
        """Yield what the turn says: from `answer(request)`, changed, or without asking it at all.

        Whatever is yielded is what the client gets and what is stored. The last output is a `Finish`.
        """
        ...
