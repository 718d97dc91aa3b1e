"""The ear of a call whose model hears everything and judges itself when somebody speaks."""

from __future__ import annotations

from jackfield.audio.pcm import WIDTH_BYTES
from jackfield.dialogue.call.endpointing import CallState
from jackfield.dialogue.call.hearing import EarListener


class OpenEar:
    """Gives the listener all sound as it comes, at the rate of the call. Implements `CallEar`."""

    def __init__(self, rate_hz: int, listener: EarListener) -> None:
        self._bytes_per_s = rate_hz * WIDTH_BYTES
        self._listener = listener
        self._half = b""
        self._fed_bytes = 0
        self._begun_bytes = 0
        self._closed = False

    @property
    def now_s(self) -> float:
        return self._fed_bytes / self._bytes_per_s

    def feed(self, pcm: bytes) -> None:
        if self._closed:
            return
        if self._half or len(pcm) % WIDTH_BYTES:
            pcm = self._half + pcm
            size_bytes = len(pcm) - len(pcm) % WIDTH_BYTES
            self._half, pcm = pcm[size_bytes:], pcm[:size_bytes]
        self._fed_bytes += len(pcm)
        self._listener.sound(pcm)

    def set_state(self, state: CallState) -> None:
        pass

    def begin_speech(self) -> None:
        if not self._closed:
            self._begun_bytes = self._fed_bytes
            self._listener.speech_started(self.now_s)

    def end_speech(self) -> None:
        if not self._closed:
            spoken_s = (self._fed_bytes - self._begun_bytes) / self._bytes_per_s
            self._listener.speech_ended(spoken_s, self.now_s)

    def close(self) -> None:
        self._closed = True
