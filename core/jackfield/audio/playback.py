"""Sound on its way to a listener who hears it at the speed of sound, while it is made far faster."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from jackfield.audio.pcm import WIDTH_BYTES

_EARLY_S: Final = 0.001
"""A loop may call a timer by its clock's resolution too early."""
_KEPT_S: Final = 2.0
"""Sound that was heard is kept for so long: a report may say that the listener is not as far as that."""


class Line(Protocol):
    """What playback sends over. All are plain functions that return at once."""

    def send(self, pcm: bytes) -> None:
        """Send sound: whole frames, but for the last of an item."""
        ...

    def sent(self, item: int) -> None:
        """All sound of the item was sent. After a pause it is sent, and this is said, once more."""
        ...

    def forget(self) -> None:
        """Have the listener forget at once what was sent and not played yet."""
        ...

    def played(self, item: int) -> None:
        """All sound of an ended item was heard."""
        ...


class Playback:
    """What a call's leg needs that sends sound over a wire: everything of `CallLeg` but `tell`.

    It keeps what was not heard yet, and sends it `lead_s` seconds ahead of the listener, in pieces of
    `step_s` seconds: wholes of `frame_s` seconds, though the last of an item may be any length. The first
    frame is sent at once. What the listener has heard goes by the event loop's clock, which stands still
    where there is nothing to play, and by `report`. Use it on one event loop only, and `close` it.

    Sound of an item that is over, or of an earlier one than the current, is dropped.
    """

    def __init__(
        self, rate_hz: int, line: Line, *, lead_s: float = 0.4, step_s: float = 0.1, frame_s: float = 0.02
    ) -> None:
        """:raises ValueError: when lead, step and frame are not each at least as long as the next."""
        if not lead_s >= step_s >= frame_s > 0:
            raise ValueError(
                f"Playback needs lead_s >= step_s >= frame_s > 0; got {lead_s}, {step_s}, {frame_s}"
            )
        self.rate_hz: Final = rate_hz
        self._line = line
        self._loop = asyncio.get_running_loop()
        self._bytes_per_s = rate_hz * WIDTH_BYTES
        self._frame_bytes = max(1, round(rate_hz * frame_s)) * WIDTH_BYTES
        self._step_bytes = round(step_s / frame_s) * self._frame_bytes
        self._refill_s = lead_s - step_s
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False
        self._closed = False
        self._reset(-1)

    def _reset(self, item: int) -> None:
        self._item = item
        self._over = item < 0  # nothing of the item is taken or owed any more
        self._ended = False
        self._told_sent = False
        self._on_line = False  # whether the listener may hold sound that is to be forgotten on demand
        self._pcm = bytearray()  # of the item, from byte `_kept_from` on
        self._kept_from = 0
        self._sent_bytes = 0
        self._silent_at_s = 0.0
        """When the listener has heard all that was sent, by the loop's clock."""

    def play(self, item: int, pcm: bytes) -> None:
        """Add sound, in whole samples, to the end of the item. A new item begins; an earlier is cleared."""
        if self._takes(item):
            self._pcm += pcm
            self._pump()

    def end(self, item: int) -> None:
        """No more sound of the item will come; `Line.played` follows, never before this returns."""
        if self._takes(item):
            self._ended = True
            self._pump()

    def pause(self) -> None:
        """Be silent at once. What was not heard is sent again by `resume`."""
        if self._paused:
            return
        self._stop_at(self._heard_bytes())
        self._paused = True

    def resume(self) -> None:
        """Go on where the listener heard it stop."""
        if self._paused:
            self._paused = False
            if not self._over:
                self._pump()

    def clear(self) -> None:
        """Be silent at once; the item is over and nothing is owed. A pause is over too."""
        self._stop_at(self._heard_bytes())
        self._paused = False
        self._over = True
        self._kept_from = self._sent_bytes
        self._pcm = bytearray()

    def close(self) -> None:
        """Stop for good, without a word to the line, and keep no sound. May be called twice."""
        self._on_line = False
        self.clear()
        self._closed = True

    def heard_s(self) -> float:
        """Seconds of the current or last item that the listener has heard."""
        return self._heard_bytes() / self._bytes_per_s

    def ahead_s(self) -> float:
        """Seconds of sound that were given and not heard yet."""
        given_bytes = self._kept_from + len(self._pcm)
        return (given_bytes - self._heard_bytes()) / self._bytes_per_s

    def report(self, item: int, heard_s: float) -> None:
        """Set the clock right: the listener itself says how much of the item it has heard, in seconds.

        What it cannot have heard, since it was not sent, does not count, nor what is an earlier item's.
        """
        if item != self._item or self._over or self._paused:
            return
        unheard_s = self._sent_bytes / self._bytes_per_s - heard_s
        kept_s = (self._sent_bytes - self._kept_from) / self._bytes_per_s
        self._silent_at_s = self._loop.time() + min(max(unheard_s, 0.0), kept_s)
        self._pump()

    def _takes(self, item: int) -> bool:
        if item > self._item and not self._closed:
            if not self._over:
                self.clear()
            self._cancel_timer()
            self._reset(item)
        return item == self._item and not self._over and not self._ended

    def _heard_bytes(self) -> int:
        """Bytes of the item that were heard, in whole samples."""
        unheard_s = self._silent_at_s - self._loop.time()
        if unheard_s <= 0:
            return self._sent_bytes
        heard_samples = self._sent_bytes // WIDTH_BYTES - round(unheard_s * self.rate_hz)
        return max(heard_samples * WIDTH_BYTES, self._kept_from)

    def _stop_at(self, heard_bytes: int) -> None:
        """Take back what was sent beyond `heard_bytes`."""
        self._cancel_timer()
        self._sent_bytes = heard_bytes
        self._silent_at_s = 0.0
        self._told_sent = False
        if self._on_line:
            self._on_line = False
            self._line.forget()

    def _pump(self) -> None:
        """Send what is due, and set the timer for what will be."""
        self._cancel_timer()
        if self._paused or self._over:
            return
        now_s = self._loop.time()
        while size := self._sendable_bytes():
            if self._silent_at_s - now_s > self._refill_s + _EARLY_S:
                self._timer = self._loop.call_at(self._silent_at_s - self._refill_s, self._pump)
                return
            self._send(size)
            self._silent_at_s = max(self._silent_at_s, now_s) + size / self._bytes_per_s
        if not self._ended:
            return
        if not self._told_sent:
            self._told_sent = True
            self._line.sent(self._item)
        self._timer = self._loop.call_at(max(self._silent_at_s, now_s), self._finish)

    def _sendable_bytes(self) -> int:
        """How much the next piece has; 0 when there is no whole frame yet."""
        unsent_bytes = self._kept_from + len(self._pcm) - self._sent_bytes
        size = min(unsent_bytes, self._step_bytes)
        return size if self._ended else size - size % self._frame_bytes

    def _send(self, size: int) -> None:
        start = self._sent_bytes - self._kept_from
        piece = bytes(self._pcm[start : start + size])
        self._sent_bytes += size
        self._on_line = True
        useless_bytes = self._heard_bytes() - round(_KEPT_S * self.rate_hz) * WIDTH_BYTES - self._kept_from
        if useless_bytes > 0:
            del self._pcm[:useless_bytes]
            self._kept_from += useless_bytes
        self._line.send(piece)

    def _finish(self) -> None:
        self._timer = None
        if self._silent_at_s - self._loop.time() > _EARLY_S:
            self._pump()
            return
        self._over = True
        self._on_line = False
        self._kept_from = self._sent_bytes
        self._pcm = bytearray()
        self._line.played(self._item)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class PlayingLeg:
    """A leg that plays through a playback, which it is given when it is made: all of `CallLeg` but `tell`."""

    def __init__(self, playback: Playback) -> None:
        self._playback = playback

    @property
    def rate_hz(self) -> int:
        return self._playback.rate_hz

    def play(self, item: int, pcm: bytes) -> None:
        self._playback.play(item, pcm)

    def end(self, item: int) -> None:
        self._playback.end(item)

    def pause(self) -> None:
        self._playback.pause()

    def resume(self) -> None:
        self._playback.resume()

    def clear(self) -> None:
        self._playback.clear()

    def heard_s(self) -> float:
        return self._playback.heard_s()

    def ahead_s(self) -> float:
        return self._playback.ahead_s()

    def close(self) -> None:
        """Play nothing more. May be called twice."""
        self._playback.close()
