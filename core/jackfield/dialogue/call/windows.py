"""One voice activity detector for all calls: their windows are judged together once there are many."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from jackfield.contracts.vad import VAD, BatchVAD
from jackfield.errors import ProviderBadReply, ProviderError, ProviderUnavailable

Judged = Callable[[float, float], None]
"""Called with the probability, 0 to 1, that a window is speech, and the time it was handed over with."""
Failed = Callable[[ProviderError, float], None]
"""Called instead when the window could not be judged."""

_COLLECT_FROM: Final = 8
"""Calls from which on windows are judged together: it then takes a third of the time."""
_TICK_S: Final = 0.016
"""Half a usual window: what waiting for other calls' windows may cost a call."""
_MOST: Final = 32
"""Windows judged in one step, so that the event loop is held up for a millisecond at the most."""

logger = logging.getLogger(__name__)


class SpeechWindows:
    """Judges the windows of all calls. Lives on one event loop; all methods return at once.

    With `collect_from` calls or more, and a `BatchVAD`, windows are collected for `tick_s` seconds.
    """

    def __init__(self, vad: VAD, *, collect_from: int = _COLLECT_FROM, tick_s: float = _TICK_S) -> None:
        self._vad = vad
        self._batch_vad = vad if isinstance(vad, BatchVAD) else None
        self._collect_from = collect_from
        self._tick_s = tick_s
        self._handles: set[WindowsHandle] = set()
        self._due: deque[WindowsHandle] = deque()  # those with windows waiting, each once
        self._timer: asyncio.Handle | None = None
        self._failing = False

    @property
    def window_samples(self) -> int:
        """Samples in a window."""
        return self._vad.window_samples

    def register(self, judged: Judged, failed: Failed) -> WindowsHandle:
        """Begin to listen to one more speaker.

        For each window one of the two is called, in the order of the windows, perhaps before `feed`
        returns. The handle is closed by whoever asked for it.
        """
        handle = WindowsHandle(self, self._vad, judged, failed)
        self._handles.add(handle)
        return handle

    def feed(self, handle: WindowsHandle, window: bytes, at_s: float) -> None:
        """Take a window of a registered speaker; its handle calls this."""
        if not handle.waiting:
            if self._batch_vad is None or len(self._handles) < self._collect_from:
                self._judge_one(handle, window, at_s)
                return
            self._due.append(handle)
        handle.waiting.append((window, at_s))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._tick_s, self._tick)

    def forget(self, handle: WindowsHandle) -> None:
        """Listen no longer to a speaker; its handle calls this."""
        self._handles.discard(handle)

    def _judge_one(self, handle: WindowsHandle, window: bytes, at_s: float) -> None:
        try:
            probability = _checked(handle.stream.feed(window))
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            self._fail([(handle, at_s)], error)
            return
        self._failing = False
        handle.judged(probability, at_s)

    def _tick(self) -> None:
        """Judge one window of each call that is due; what is left comes in the loop's next round."""
        handles, windows, times_s = self._take()
        self._timer = asyncio.get_running_loop().call_soon(self._tick) if self._due else None
        if not handles:
            return
        assert self._batch_vad is not None
        try:
            probabilities = self._batch_vad.feed_many([handle.stream for handle in handles], windows)
            checked = _all_checked(probabilities, len(windows))
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            self._fail(list(zip(handles, times_s, strict=True)), error)
            return
        self._failing = False
        for handle, probability, at_s in zip(handles, checked, times_s, strict=True):
            handle.tell(probability, at_s)

    def _take(self) -> tuple[list[WindowsHandle], list[bytes], list[float]]:
        handles: list[WindowsHandle] = []
        windows: list[bytes] = []
        times_s: list[float] = []
        again: list[WindowsHandle] = []
        while self._due and len(handles) < _MOST:
            handle = self._due.popleft()
            if handle.closed:
                continue
            window, at_s = handle.waiting.popleft()
            handles.append(handle)
            windows.append(window)
            times_s.append(at_s)
            if handle.waiting:
                again.append(handle)
        self._due += again
        return handles, windows, times_s

    def _fail(self, concerned: Sequence[tuple[WindowsHandle, float]], error: Exception) -> None:
        if not self._failing and not isinstance(error, ProviderError):
            logger.error("The detector of voice activity failed.", exc_info=error)
        self._failing = True
        if not isinstance(error, ProviderError):
            kind = type(error).__name__
            failure: ProviderError = ProviderUnavailable(f"The detector of voice activity failed: {kind}.")
            failure.__cause__ = error
        else:
            failure = error
        for handle, at_s in concerned:
            handle.fail(failure, at_s)


class WindowsHandle:
    """One speaker's windows."""

    def __init__(self, windows: SpeechWindows, vad: VAD, judged: Judged, failed: Failed) -> None:
        self._windows = windows
        self._vad = vad
        self._failed = failed
        self.judged = judged
        self.stream = vad.stream()
        self.waiting: deque[tuple[bytes, float]] = deque()
        self.closed = False

    def feed(self, window: bytes, at_s: float) -> None:
        """Hand over a window, `window_samples` of PCM at 16000 Hz. After `close` nothing happens.

        `at_s` comes back with the verdict.
        """
        if not self.closed:
            self._windows.feed(self, window, at_s)

    def tell(self, probability: float, at_s: float) -> None:
        """Give a verdict, on its own: what goes wrong in one call must not reach the others."""
        if self.closed:
            return
        try:
            self.judged(probability, at_s)
        except Exception:
            logger.exception("A call failed while it was told of voice activity.")

    def fail(self, error: ProviderError, at_s: float) -> None:
        """Tell that a window could not be judged, and forget what the detector remembers."""
        if self.closed:
            return
        try:
            self._failed(error, at_s)
            self.stream = self._vad.stream()
        except Exception:
            logger.exception("A call failed while it was told that no voice activity could be detected.")

    def close(self) -> None:
        """Hear nothing more, from now on. May be called twice."""
        self.closed = True
        self.waiting.clear()
        self._windows.forget(self)


def _checked(probability: float) -> float:
    if not 0.0 <= probability <= 1.0:
        raise ProviderBadReply(f"The detector of voice activity gave {probability!r}, not 0 to 1.")
    return probability


def _all_checked(probabilities: Sequence[float], count: int) -> list[float]:
    if len(probabilities) != count:
        raise ProviderBadReply(f"The detector gave {len(probabilities)} probabilities for {count} windows.")
    return [_checked(probability) for probability in probabilities]
