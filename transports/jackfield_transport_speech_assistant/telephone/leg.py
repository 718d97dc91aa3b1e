"""The telephone's side of a call: sound goes out in pieces, and marks say what of it was heard."""

from __future__ import annotations

from collections import deque
from typing import Final

from jackfield.audio.mulaw import RATE_HZ, encode_mulaw
from jackfield.contracts.call import Call, CallEvent
from jackfield.web.outbox import Outbox
from jackfield_transport_speech_assistant.telephone.frames import clear_frame, mark_frame, media_frame

LEAD_S: Final = 1.0
"""Sound that may be on its way, not known to be heard: what covers a slow network, and what a `clear` that
is held up by a slow one has to overtake."""
STEP_S: Final = 0.1
"""Sound from one mark to the next: so exactly is known what was heard."""
_FRAME_S: Final = 0.02

_LEAD_SAMPLES: Final = round(LEAD_S * RATE_HZ)
_STEP_SAMPLES: Final = round(STEP_S * RATE_HZ)
_FRAME_SAMPLES: Final = round(_FRAME_S * RATE_HZ)


class PhoneLeg:
    """Plays over a telephone's stream. Implements `CallLeg`.

    A mark follows every piece of sound and comes back when the piece was played: only then does it count
    as heard, and only then is more sent than `LEAD_S` ahead. There is no clock but the telephone's.

    `call` is to be set before anything is played.
    """

    call: Call
    rate_hz: Final = RATE_HZ

    def __init__(self, outbox: Outbox, stream: str) -> None:
        self._outbox = outbox
        self._stream = stream
        self._paused = False
        self._closed = False
        self._marks = 0
        self._reset(-1)

    def _reset(self, item: int) -> None:
        self._item = item
        self._over = item < 0  # nothing of the item is taken or owed any more
        self._ended = False
        self._sound = bytearray()  # mu-law of the item that was not heard yet
        self._heard_samples = 0
        self._sent_samples = 0
        self._awaited: deque[tuple[str, int]] = deque()  # marks, and how much of the item each one ends

    def play(self, item: int, pcm: bytes) -> None:
        if self._takes(item):
            self._sound += encode_mulaw(pcm)
            self._pump()

    def end(self, item: int) -> None:
        if self._takes(item):
            self._ended = True
            self._pump()

    def pause(self) -> None:
        if not self._paused:
            self._silence()
            self._paused = True

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self._pump()

    def clear(self) -> None:
        self._silence()
        self._paused = False
        self._over = True
        self._sound = bytearray()

    def heard_s(self) -> float:
        return self._heard_samples / RATE_HZ

    def ahead_s(self) -> float:
        return len(self._sound) / RATE_HZ

    def tell(self, event: CallEvent) -> None:
        """A telephone has nothing to show it on."""

    def marked(self, name: str) -> None:
        """A mark came back. One from before a `clear` came back because of that, and says nothing."""
        if not any(name == awaited for awaited, _samples in self._awaited):
            return
        samples = self._heard_samples
        while self._awaited:
            awaited, samples = self._awaited.popleft()
            if awaited == name:
                break
        del self._sound[: samples - self._heard_samples]
        self._heard_samples = samples
        if self._ended and not self._sound:
            self._over = True
            self.call.played(self._item)
        else:
            self._pump()

    def close(self) -> None:
        """Play nothing more, and keep no sound. May be called twice."""
        self._awaited.clear()
        self.clear()
        self._closed = True

    def _takes(self, item: int) -> bool:
        if item > self._item and not self._closed:
            if not self._over:
                self.clear()
            self._reset(item)
        return item == self._item and not self._over and not self._ended

    def _silence(self) -> None:
        """Have the telephone forget what it has not played yet."""
        self._sent_samples = self._heard_samples
        if self._awaited:
            self._awaited.clear()
            self._outbox.drop_sound()
            self._outbox.put(clear_frame(self._stream))

    def _pump(self) -> None:
        """Send what there is room for."""
        if self._paused or self._over:
            return
        while samples := self._sendable_samples():
            start = self._sent_samples - self._heard_samples
            piece = bytes(self._sound[start : start + samples])
            self._outbox.put_sound(media_frame(self._stream, piece))
            self._sent_samples += samples
            self._mark()
        if self._ended and not self._awaited:
            self._mark()  # of nothing: it comes back at once, and only then may the end be told

    def _sendable_samples(self) -> int:
        """How much the next piece has; 0 when there is no room, or no whole frame yet."""
        on_its_way = self._sent_samples - self._heard_samples
        unsent = len(self._sound) - on_its_way
        samples = min(unsent, _STEP_SAMPLES, _LEAD_SAMPLES - on_its_way)
        last = self._ended and samples == unsent
        return samples if last else samples - samples % _FRAME_SAMPLES

    def _mark(self) -> None:
        self._marks += 1
        name = f"a{self._item}-{self._marks}"
        self._awaited.append((name, self._sent_samples))
        self._outbox.put(mark_frame(self._stream, name))
