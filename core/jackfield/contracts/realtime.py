"""Speech-to-speech models: sound in, sound out, with the words of both sides.

Sound is PCM, signed 16-bit little-endian, mono, at the session's `rate_hz`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol, Self, runtime_checkable

from jackfield.contracts.llm import ToolCall, ToolSpec
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


RealtimeOutput = RealtimeAudio | RealtimeText | RealtimeSpeech | Transcript | ToolCall


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
        """Stop the answer; the user heard its first `heard_ms` milliseconds and no more."""
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
