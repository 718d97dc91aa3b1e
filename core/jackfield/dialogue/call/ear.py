"""The ear of a call: sound of the user goes in, utterances come out."""

from __future__ import annotations

from jackfield.audio.pcm import WIDTH_BYTES
from jackfield.audio.resample import Resampler
from jackfield.config.sections import CallSection
from jackfield.contracts.stt import STT_RATE_HZ
from jackfield.dialogue.call.endpointing import CallState
from jackfield.dialogue.call.gate import Gate, OpenGate, SpeechGate
from jackfield.dialogue.call.hearing import EarListener
from jackfield.dialogue.call.windows import SpeechWindows

__all__ = ["Ear", "EarListener"]


class Ear:
    """Takes sound at `rate_hz` as it comes in and tells the listener of utterances.

    With a detector, sound is given from the settings' `pre_roll_ms` before an utterance until it ends.
    Without, the client says where utterances end: all sound is given at once, and no silence is told.
    All methods are plain and return at once; what they cause is told before they return, unless the
    detector's verdict comes later. The ear starts in state `listening`.
    """

    def __init__(
        self, *, rate_hz: int, detector: SpeechWindows | None, settings: CallSection, listener: EarListener
    ) -> None:
        self._resampler = Resampler(rate_hz, STT_RATE_HZ) if rate_hz != STT_RATE_HZ else None
        self._half = b""  # the first byte of a sample whose second one has not come
        self._closed = False
        self._gate: Gate = (
            OpenGate(settings, listener) if detector is None else SpeechGate(detector, settings, listener)
        )

    @property
    def now_s(self) -> float:
        """Seconds of sound that were fed."""
        return self._gate.now_s

    @property
    def given_s(self) -> float:
        """Seconds of sound given to the listener since the last utterance ended.

        During `speech_started` without a detector: what came before `begin_speech` and is to be forgotten.
        """
        return self._gate.given_s

    def feed(self, pcm: bytes) -> None:
        """Take more sound; half a sample at its end is kept for the next. Dropped once closed."""
        if self._closed:
            return
        if self._half or len(pcm) % WIDTH_BYTES:
            pcm = self._whole(pcm)
        if self._resampler is not None:
            pcm = self._resampler.feed(pcm)
        if pcm:
            self._gate.feed(pcm)

    def _whole(self, pcm: bytes) -> bytes:
        pcm = self._half + pcm
        size_bytes = len(pcm) - len(pcm) % WIDTH_BYTES
        self._half = pcm[size_bytes:]
        return pcm[:size_bytes]

    def set_state(self, state: CallState) -> None:
        """Say what the server does: it decides how patient the ear is from now on."""
        self._gate.set_state(state)

    def begin_speech(self) -> None:
        """The client says that the user begins to speak: sound of before is not part of it.

        With a detector: nothing happens within an utterance, and silence counts once something was said.
        """
        if not self._closed:
            self._gate.begin_speech()

    def end_speech(self) -> None:
        """The client says that the user has finished; nothing happens when there is no utterance.

        Without a detector, all sound since the last end is one.
        """
        if not self._closed:
            self._gate.end_speech()

    def close(self) -> None:
        """Tell the listener nothing more. May be called twice."""
        self._closed = True
        self._gate.close()
