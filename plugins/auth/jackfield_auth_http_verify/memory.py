"""What a service said of tokens, for a short while."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable

from jackfield.contracts.auth import Identity


class Answers:
    """The newest answers by digests of their tokens: what is remembered opens nothing."""

    def __init__(self, *, ttl_s: float, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._ttl_s = ttl_s
        self._most = most
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, Identity | None]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def put(self, token: str, identity: Identity | None) -> None:
        """Remember an answer, and forget the oldest when there are too many."""
        key = _digest(token)
        self._known[key] = (self._clock() + self._ttl_s, identity)
        self._known.move_to_end(key)
        if len(self._known) > self._most:
            self._known.popitem(last=False)

    def get(self, token: str) -> tuple[bool, Identity | None]:
        """Whether there is an answer, and the answer."""
        key = _digest(token)
        end_s, identity = self._known.get(key, (0.0, None))
        if self._clock() < end_s:
            return True, identity
        self._known.pop(key, None)
        return False, None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
