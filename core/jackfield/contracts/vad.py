"""Voice activity: is somebody speaking in this window of sound?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable


@runtime_checkable
class VADStream(Protocol):
    """The detector's memory of one speaker. It is not closed: once nobody holds it, it costs nothing."""

    def feed(self, window: bytes) -> float:
        """Probability, 0 to 1, that `window` is speech.

        `window` is exactly `VAD.window_samples` samples of PCM, signed 16-bit little-endian, mono,
        16000 Hz. Takes less than half a millisecond, so it is called on the event loop.
        """
        ...


@runtime_checkable
class VAD(Protocol):
    """A voice activity detector. One thread at a time calls it and its streams."""

    @property
    def window_samples(self) -> int:
        """Samples in a window."""
        ...

    def stream(self) -> VADStream:
        """Begin to listen to one more speaker."""
        ...


@runtime_checkable
class BatchVAD(VAD, Protocol):
    """A detector that looks at several speakers' windows in one step; optional."""

    def feed_many(self, streams: Sequence[VADStream], windows: Sequence[bytes]) -> Sequence[float]:
        """What `feed` of each stream would say of its window, in the same order.

        `streams` are any of this detector's, each at most once, in any order, as many as there are
        windows; those that are left out remember what they did. It is called on the event loop: no
        window takes longer than it would with `feed`.
        """
        ...
