"""Whether a provider is worth asking: one that failed is left alone for a while, longer each time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import anyio

from jackfield.errors import ProviderError, ProviderUnauthorized

LONGEST_S: Final = 300.0
"""Longest cool-down, however often a provider has failed or however long it asks to wait."""
_UNAUTHORIZED_S: Final = 60.0
"""Least cool-down after refused credentials: they are mended by people."""
_TRIAL_S: Final = 30.0
"""How long one request may try a provider before another one may."""
_MOST_DOUBLINGS: Final = 16


class Circuit:
    """What is known of one provider. Closed: it works, as far as anybody knows. Open: it failed.

    An open one cools down for `cooldown_s` seconds, twice as long after each further failure, and then has
    its turn: a single request tries it, or the provider itself where it can (`probed`). Times are the event
    loop's. `changed` is told of every opening (True) and closing (False).
    """

    def __init__(
        self,
        cooldown_s: float,
        *,
        probed: bool = False,
        changed: Callable[[bool], None] = lambda _open: None,
    ) -> None:
        self.probed: Final = probed
        self._cooldown_s = cooldown_s
        self._changed = changed
        self._failures = 0  # in a row
        self._due_s: float | None = None
        self._trial_until_s = 0.0
        self._opened: anyio.Event | None = None

    @property
    def closed(self) -> bool:
        """Whether it may be asked without a second thought."""
        return self._due_s is None

    @property
    def due_s(self) -> float:
        """When it has its turn, in the event loop's time; 0 while it is closed."""
        return self._due_s or 0.0

    @property
    def ready(self) -> bool:
        """Whether a request may ask it now."""
        return self.closed or (not self.probed and self._has_turn())

    async def wait_for_turn(self) -> None:
        """Wait until it has failed and cooled down, and nobody tries it."""
        while self.closed or not self._has_turn():
            if self._due_s is None:
                self._opened = anyio.Event()
                await self._opened.wait()
            else:
                await anyio.sleep(max(self._due_s, self._trial_until_s) - _now_s())

    def _has_turn(self) -> bool:
        return max(self.due_s, self._trial_until_s) <= _now_s()

    def begin(self) -> bool:
        """Note that it is asked; says whether that is its trial, which decides how it goes on."""
        if self.closed or not self._has_turn():
            return False
        self._trial_until_s = _now_s() + _TRIAL_S
        return True

    def succeeded(self) -> None:
        """It did its work."""
        was_open = not self.closed
        self._failures = 0
        self._due_s = None
        self._trial_until_s = 0.0
        if was_open:
            self._changed(False)

    def failed(self, error: Exception, *, trial: bool) -> None:
        """It did not do its work. Requests that ask an open one, but are not its trial, decide nothing."""
        was_open = not self.closed
        if was_open and not trial:
            return
        self._failures += 1
        self._due_s = _now_s() + self._cooldown_after(error)
        self._trial_until_s = 0.0
        if not was_open:
            self._changed(True)
        if self._opened is not None:
            self._opened.set()

    def undecided(self, *, trial: bool) -> None:
        """The request ended before anything could be told; somebody else may try."""
        if trial:
            self._trial_until_s = 0.0

    def _cooldown_after(self, error: Exception) -> float:
        cooldown_s = self._cooldown_s * 2.0 ** min(self._failures - 1, _MOST_DOUBLINGS)
        if isinstance(error, ProviderUnauthorized):
            cooldown_s = max(cooldown_s, _UNAUTHORIZED_S)
        if isinstance(error, ProviderError) and error.retry_after_s is not None:
            cooldown_s = max(cooldown_s, error.retry_after_s)
        return min(cooldown_s, LONGEST_S)


def _now_s() -> float:
    return asyncio.get_running_loop().time()  # also in callbacks, where anyio knows no task
