"""Voices: text in, sound out. Sound is PCM, signed 16-bit little-endian, mono, at the voice's rate."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from jackfield.contracts.failover import Failover


@dataclass(frozen=True, slots=True)
class Voice:
    """Who is meant to speak. Each plugin maps it to the nearest voice it has; None leaves it open."""

    name: str | None = None
    """A provider's own name for a voice; providers that do not know it go by the other fields."""
    language: str | None = None
    """BCP 47 tag."""
    gender: Literal["female", "male"] | None = None
    accent: str | None = None
    """A name from the deployment's table of accents: `polish`, `british`."""


@dataclass(frozen=True, slots=True)
class SpeechSettings:
    """How a text is to be spoken."""

    voice: Voice = Voice()
    speed: float = 1.0
    """1.0 is the voice's own speed, 2.0 twice as fast."""
    failover: Failover | None = field(default=None, compare=False, repr=False)
    """For chains alone."""


@dataclass(frozen=True, slots=True)
class SpeechMark:
    """Where in the sound something happens: a word begins, or the mouth takes a shape."""

    kind: Literal["word", "viseme"]
    value: str
    at_s: float
    """Seconds from the beginning of this synthesis."""


TTSOutput = bytes | SpeechMark


@runtime_checkable
class TTS(Protocol):
    """A voice, or several."""

    def rate_hz(self, voice: Voice) -> int:
        """Samples a second of what `synthesize` yields for that voice."""
        ...

    def synthesize(self, text: str, settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
        """Yield sound as it is made, in whole samples; nothing for text with nothing to say.

        Several may run at once. Closing the generator ends the work, as for a language model.

        :raises ProviderError: in one of its categories.
        """
        ...


@runtime_checkable
class IncrementalTTS(TTS, Protocol):
    """A voice that can begin to speak before it has the whole text; optional, declared as `streaming`."""

    def stream(self, pieces: AsyncIterator[str], settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
        """Yield the sound of `pieces` joined, beginning while they still come."""
        ...
