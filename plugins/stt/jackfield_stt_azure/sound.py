"""Sound on its way to the service, cut into parts that are recognised one after the other."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Part:
    pcm: bytearray = field(default_factory=bytearray)
    complete: bool = False
    touched: bool = False
    """Whether any of it was read."""


class Sound:
    """The event loop writes, a thread of the SDK reads and waits for more. PCM as recognisers take it.

    The SDK has a stream of its own to push into, which can only be ended for good, and the connection with
    it. Where the SDK reads, an end is a read of nothing: the service then finishes what it hears, and the
    next part goes over the same connection.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._parts = deque([_Part()])
        self._may_end = False
        self._closed = False
        self.read_bytes = 0
        """How much the SDK has taken."""

    @property
    def waiting(self) -> bool:
        """Whether the part that comes next has sound."""
        return bool(self._parts[0].pcm)

    def push(self, pcm: bytes) -> None:
        """Add to the part that is not complete."""
        with self._changed:
            self._parts[-1].pcm += pcm
            self._changed.notify()

    def cut(self) -> None:
        """Complete a part and begin the next one."""
        with self._changed:
            self._parts[-1].complete = True
            self._parts.append(_Part())
            self._changed.notify()

    def join(self) -> bool:
        """Take the last cut back; false when the SDK has met it."""
        with self._changed:
            if len(self._parts) < 2:
                return False
            last = self._parts.pop()
            self._parts[-1].pcm += last.pcm
            self._parts[-1].complete = False
            return True

    def drop(self) -> None:
        """Forget what was not read of the sound after the last cut."""
        with self._changed:
            self._parts[-1].pcm.clear()

    def skip(self) -> bool:
        """Pass over the part that comes next, if it is complete and without any sound."""
        with self._changed:
            part = self._parts[0]
            if part.pcm or part.touched or not part.complete:
                return False
            self._parts.popleft()
            return True

    def begin(self) -> None:
        """A part is about to be read."""
        self._may_end = False

    def allow_end(self) -> None:
        """Let the part come to its end: the SDK stalls when it meets one while it still begins."""
        with self._changed:
            self._may_end = True
            self._changed.notify()

    def close(self) -> None:
        """Let the reader go, whatever was not read."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    # What the SDK calls, in a thread of its own.

    def read(self, buffer: memoryview) -> int:
        """Fill the buffer as far as there is sound and give the number of bytes; 0 ends the part."""
        with self._changed:
            while True:
                part = self._parts[0]
                if self._closed:
                    return 0
                if part.pcm:
                    break
                if part.complete and self._may_end:
                    self._parts.popleft()
                    return 0
                self._changed.wait()
            part.touched = True
            size = min(len(buffer), len(part.pcm))
            buffer[:size] = part.pcm[:size]
            del part.pcm[:size]
            self.read_bytes += size
            return size

    def get_property(self, _property: object) -> str:
        """Describe the sound; there is nothing to describe."""
        return ""
