"""Speech-to-speech models: sound in, sound out, with the words of both sides.

Sound is PCM, signed 16-bit little-endian, mono, at the session's `rate_hz`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Protocol, Self, runtime_checkable

from jackfield.contracts.failover import Failover
from jackfield.contracts.llm import Message, ToolCall, ToolSpec
from jackfield.contracts.stt import Transcript
from jackfield.contracts.tts import Voice


@dataclass(frozen=True, slots=True)
class RealtimeSettings:
    """How a speech-to-speech session starts."""

    instructions: str = ""
    voice: Voice = Voice()
    tools: tuple[ToolSpec, ...] = ()
    language: str | None = None
    temperature: float | None = None
    turns: Literal["auto", "explicit"] = "auto"
    """Who says when the user has finished: the model, or the caller of `TakesTurns.commit`."""
    history: tuple[Message, ...] = ()
    """What was said before, oldest first. Only a session that is entered takes it, `update` does not."""
    failover: Failover | None = field(default=None, compare=False, repr=False)
    """For chains alone."""


@dataclass(frozen=True, slots=True)
class RealtimeAudio:
    """Sound of the answer `item`."""

    item: str
    pcm: bytes


@dataclass(frozen=True, slots=True)
class RealtimeText:
    """Words of the answer `item`, as they are spoken; `done` marks the last."""

    item: str
    text: str
    done: bool = False


@dataclass(frozen=True, slots=True)
class RealtimeSpeech:
    """The model's own judgement of the user's voice."""

    state: Literal["started", "stopped"]


@dataclass(frozen=True, slots=True)
class RealtimeUsage:
    """Tokens of one answer, of sound and words together; `cached_tokens` of the input cost less."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class RealtimePlayback:
    """How the user hears the answer `item` of a forwarded session, whose sound goes past the server."""

    item: str
    state: Literal["started", "stopped", "cleared"]
    """They begin to hear it, have heard all of it, or hear no more of it."""


RealtimeOutput = (
    RealtimeAudio | RealtimeText | RealtimeSpeech | RealtimeUsage | RealtimePlayback | Transcript | ToolCall
)
"""A `Transcript` is of what the user said; a final one comes for each of their turns, perhaps after the
answer to it has begun, with an empty text where the words are not to be had."""


@runtime_checkable
class RealtimeSession(Protocol):
    """One conversation with a speech-to-speech model. An async context manager, entered once."""

    @property
    def rate_hz(self) -> int:
        """Samples a second, of both directions."""
        ...

    def push(self, pcm: bytes) -> None:
        """Add sound of the user. Never blocks."""
        ...

    async def interrupt(self, heard_ms: int) -> None:
        """Stop the answer; of its newest item the user heard the first `heard_ms` milliseconds."""
        ...

    async def update(self, settings: RealtimeSettings) -> None:
        """Change instructions, voice or tools in the running session."""
        ...

    async def inject(self, text: str) -> None:
        """Let the model answer typed text."""
        ...

    async def tool_result(self, call_id: str, result: str) -> None:
        """Answer a tool call."""
        ...

    def __aiter__(self) -> AsyncIterator[RealtimeOutput]:
        """What the model says and does. Asked for once a session, iterated by one task.

        :raises ProviderError: the session is then of no further use.
        """
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> bool | None: ...


@runtime_checkable
class Realtime(Protocol):
    """A speech-to-speech model."""

    def session(self, settings: RealtimeSettings) -> RealtimeSession:
        """Open nothing yet: the connection is made when the session is entered."""
        ...


@runtime_checkable
class TakesTurns(Protocol):
    """What a session has as well that can be told when the user has finished (`turns` "explicit")."""

    async def commit(self) -> None:
        """The user has finished: answer the sound that was pushed since the last answer."""
        ...


@runtime_checkable
class SaysPhrases(Protocol):
    """What a session has as well that can be made to speak first."""

    async def say(self, text: str) -> None:
        """Let the model say a text, such as a greeting, in its own voice."""
        ...


@runtime_checkable
class ForwardedSession(RealtimeSession, Protocol):
    """A session whose sound goes between the user's connection and the model: what is left is beside it.

    `push` does nothing and no `RealtimeAudio` comes; of each answer that is heard `RealtimePlayback` tells.
    `interrupt` need not be right about what was heard, for the model knows. Iterating ends when the user
    hangs up. Entering has the offer answered, leaving ends the call at the model.
    """

    @property
    def answer(self) -> str:
        """The answer to the offer, as SDP; known once the session is entered."""
        ...


@runtime_checkable
class ForwardsOffers(Protocol):
    """What a model has as well that users' WebRTC connections may reach themselves."""

    def forward_offer(self, sdp: str, settings: RealtimeSettings) -> ForwardedSession:
        """Have an offer answered when the session is entered, and open nothing yet.

        The settings are the session's before the user can say anything. Their `history` may come after it.
        """
        ...


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A short-lived key with which a client may open sessions itself."""

    value: str = field(repr=False)
    expires_s: float
    """Seconds since 1970."""


@runtime_checkable
class GivesSecrets(Protocol):
    """What a model has as well that gives clients keys of their own."""

    async def client_secret(self, settings: RealtimeSettings, ttl_s: float) -> ClientSecret:
        """Make a key for sessions with these settings, good for about `ttl_s` seconds.

        :raises ProviderError: as a session that is entered does.
        """
        ...
