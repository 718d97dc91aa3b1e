"""A table whose entries expire, with a bound on their number and on their bytes."""

from __future__ import annotations

import heapq
import itertools
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from jackfield import StoreUnavailable

T = TypeVar("T")

ENTRY_BYTES: Final = 300
"""Estimate of what an entry takes beside its key and value: the dictionaries' and the heap's share."""


@dataclass(slots=True)
class _Entry(Generic[T]):
    value: T
    size_bytes: int
    deadline: float = math.inf
    serial: int = 0
    """Names the newest of its deadlines in the heap; older ones are void."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a table holds, and whether it then gives up what expires next or refuses what is new."""

    max_entries: int
    max_bytes: int
    evicts: bool


class ExpiringTable(Generic[T]):
    """Values by key, each until its own deadline. No method awaits, so each is one step."""

    def __init__(self, what: str, bounds: Bounds, clock: Callable[[], float]) -> None:
        self._what = what
        self._bounds = bounds
        self._clock = clock
        self._entries: dict[str, _Entry[T]] = {}
        self._deadlines: list[tuple[float, int, str]] = []
        self._serials = itertools.count(1)
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> T | None:
        """Give a live value."""
        entry = self._live(key)
        return None if entry is None else entry.value

    def set(self, key: str, value: T, value_bytes: int, ttl_s: float) -> None:
        """Keep a value for `ttl_s` seconds from now.

        :raises StoreUnavailable: when there is no room and nothing may be given up for it.
        """
        size_bytes = value_bytes + sys.getsizeof(key) + ENTRY_BYTES
        self._make_room(key, size_bytes)
        self.pop(key)
        entry = self._entries[key] = _Entry(value, size_bytes)
        self.size_bytes += size_bytes
        self._schedule(key, entry, ttl_s)

    def replace(self, key: str, value: T) -> None:
        """Change a live value to one of the same size; the deadline stays."""
        self._entries[key].value = value

    def touch(self, key: str, ttl_s: float) -> bool:
        """Restart the clock; False when unknown or expired."""
        entry = self._live(key)
        if entry is None:
            return False
        self._schedule(key, entry, ttl_s)
        return True

    def pop(self, key: str) -> T | None:
        """Remove a value and give it, if it was live."""
        entry = self._live(key)
        if entry is None:
            return None
        self._remove(key)
        return entry.value

    def sweep(self) -> int:
        """Remove what has expired; gives the number."""
        now, removed = self._clock(), 0
        while (due := self._next_due()) is not None and self._entries[due].deadline <= now:
            self._remove(due)
            removed += 1
        return removed

    def _live(self, key: str) -> _Entry[T] | None:
        entry = self._entries.get(key)
        if entry is not None and entry.deadline <= self._clock():
            self._remove(key)
            return None
        return entry

    def _schedule(self, key: str, entry: _Entry[T], ttl_s: float) -> None:
        entry.deadline = self._clock() + ttl_s
        entry.serial = next(self._serials)
        heapq.heappush(self._deadlines, (entry.deadline, entry.serial, key))
        if len(self._deadlines) > 2 * len(self._entries) + 64:
            self._forget_void_deadlines()

    def _remove(self, key: str) -> None:
        self.size_bytes -= self._entries.pop(key).size_bytes

    def _make_room(self, key: str, size_bytes: int) -> None:
        if size_bytes > self._bounds.max_bytes:
            raise self._full()
        if self._fits(key, size_bytes):
            return
        self.sweep()
        while not self._fits(key, size_bytes):
            due = self._next_due(but=key)
            if not self._bounds.evicts or due is None:
                raise self._full()
            self._remove(due)

    def _fits(self, key: str, size_bytes: int) -> bool:
        old = self._entries.get(key)
        entries = len(self._entries) + (old is None)
        total = self.size_bytes + size_bytes - (0 if old is None else old.size_bytes)
        return entries <= self._bounds.max_entries and total <= self._bounds.max_bytes

    def _next_due(self, but: str | None = None) -> str | None:
        """Give the key that expires next, other than `but`."""
        spared: list[tuple[float, int, str]] = []
        found: str | None = None
        while self._deadlines and found is None:
            _deadline, serial, key = self._deadlines[0]
            entry = self._entries.get(key)
            if entry is None or entry.serial != serial:
                heapq.heappop(self._deadlines)
            elif key == but:
                spared.append(heapq.heappop(self._deadlines))
            else:
                found = key
        for item in spared:
            heapq.heappush(self._deadlines, item)
        return found

    def _forget_void_deadlines(self) -> None:
        self._deadlines = [(entry.deadline, entry.serial, key) for key, entry in self._entries.items()]
        heapq.heapify(self._deadlines)

    def _full(self) -> StoreUnavailable:
        most = self._bounds
        return StoreUnavailable(
            f"The memory store is full: it holds {len(self)} {self._what} of at most {most.max_entries}, "
            f"{self.size_bytes} bytes of at most {most.max_bytes}. Raise its options or use another store."
        )
