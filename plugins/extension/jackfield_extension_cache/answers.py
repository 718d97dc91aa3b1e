"""Where answers are kept."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

import anyio

from jackfield import StoreUnavailable
from jackfield.contracts.session import Shared

_STORE_S: Final = 1.0
"""A store that needs longer saves nobody time."""


class Answers(Protocol):
    """Answers by opaque keys, for a while."""

    async def get(self, key: str) -> str | None:
        """Give an answer; None when there is none any more."""
        ...

    async def put(self, key: str, answer: str) -> None:
        """Keep an answer."""
        ...


class AnswersInMemory:
    """Answers in this process, at most so many."""

    def __init__(
        self, *, ttl_s: float, max_entries: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ttl_s = ttl_s
        self._max_entries = max_entries
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, str]] = OrderedDict()  # the longest unused first

    async def get(self, key: str) -> str | None:
        deadline, answer = self._kept.get(key, (0.0, ""))
        if deadline <= self._clock():
            self._kept.pop(key, None)
            return None
        self._kept.move_to_end(key)
        return answer

    async def put(self, key: str, answer: str) -> None:
        self._kept[key] = (self._clock() + self._ttl_s, answer)
        self._kept.move_to_end(key)
        while len(self._kept) > self._max_entries:
            self._kept.popitem(last=False)


class SharedAnswers:
    """Answers in a session store. While it is away there are none, and that is all."""

    def __init__(self, store: Shared, *, ttl_s: float, logger: logging.Logger) -> None:
        self._store = store
        self._ttl_s = ttl_s
        self._logger = logger

    async def get(self, key: str) -> str | None:
        try:
            with anyio.fail_after(_STORE_S):
                return await self._store.get(key)
        except (StoreUnavailable, TimeoutError) as error:
            self._logger.warning("no answer can be looked up: %s", type(error).__name__)
            return None

    async def put(self, key: str, answer: str) -> None:
        try:
            with anyio.fail_after(_STORE_S):
                await self._store.put(key, answer, ttl_s=self._ttl_s)
        except (StoreUnavailable, TimeoutError) as error:
            self._logger.warning("an answer cannot be kept: %s", type(error).__name__)
