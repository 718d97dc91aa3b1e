"""What the ear of a call tells.

Sound is PCM, signed 16-bit little-endian, mono, 16000 Hz. Times are seconds of sound since the call began.
"""

from __future__ import annotations

from typing import Protocol

from jackfield.dialogue.call.endpointing import CallState
from jackfield.errors import ProviderError


class EarListener(Protocol):
    """Whoever is told what the ear hears. Plain functions that return at once.

    All but `sound` may call the ear's `set_state`, `end_speech` and `close`.
    """

    def speech_started(self, at_s: float) -> None:
        """An utterance began at `at_s`; its sound follows."""
        ...

    def sound(self, pcm: bytes) -> None:
        """More sound of the utterance."""
        ...

    def short_silence(self) -> None:
        """Nothing was said for a while; all sound so far was given."""
        ...

    def speech_resumed(self) -> None:
        """Speech went on after a short silence."""
        ...

    def speech_ended(self, spoken_s: float, silent_since_s: float) -> None:
        """The utterance is over. Its last speech ended at `silent_since_s`, `spoken_s` after its first."""
        ...

    def detector_failed(self, error: ProviderError) -> None:
        """A window could not be judged; it counts as silence. Comes again with each such window."""
        ...


class CallEar(Protocol):
    """The ear of a call, as the call sees it. The methods are those of `Ear`."""

    @property
    def now_s(self) -> float:
        """Seconds of sound that were fed."""
        ...

    def feed(self, pcm: bytes) -> None:
        """Take more sound, in whole samples or not."""
        ...

    def set_state(self, state: CallState) -> None:
        """Say what the server does."""
        ...

    def begin_speech(self) -> None:
        """The client says that the user begins to speak."""
        ...

    def end_speech(self) -> None:
        """The client says that the user has finished."""
        ...

    def close(self) -> None:
        """Tell the listener nothing more."""
        ...
