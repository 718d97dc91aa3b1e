"""An event loop on which waiting takes no time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable


class VirtualClock(asyncio.SelectorEventLoop):
    """An event loop whose time stands still while there is work, and else jumps to the next timer.

    So an hour of sleeping passes at once, and exactly. For tests with anyio's pytest plugin:

        @pytest.fixture
        def anyio_backend():
            return "asyncio", {"loop_factory": VirtualClock}

    Time does not wait for threads, processes or sockets, so it is no use where those are waited for.
    """

    def __init__(self) -> None:
        self._now_s = 0.0
        super().__init__(_Selector(self._advance))

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now_s

    def _advance(self, seconds: float) -> None:
        self._now_s += seconds


class _Selector(selectors.DefaultSelector):
    """Never waits for a timer: what it would have waited, it reports."""

    def __init__(self, skip: Callable[[float], None]) -> None:
        super().__init__()
        self._skip = skip

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(timeout if timeout is None else 0)
        if timeout and not ready:
            self._skip(timeout)
        return ready
