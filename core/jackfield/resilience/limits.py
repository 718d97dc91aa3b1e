"""Rate limits: sliding windows per user, conversation and address."""

from __future__ import annotations

import math
import time
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage

from jackfield.addresses import network_of
from jackfield.config.sections import LimitsSection
from jackfield.contracts.auth import UserId
from jackfield.contracts.turn import ConversationRef
from jackfield.errors import ProtocolError
from jackfield.resilience.shared_counters import SharedCounters

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

_SWEEP_S: Final = 30.0
_MARGIN_S: Final = 1e-3
"""Whoever comes back at the very instant would be refused once more."""


class RateLimits:
    """Counts requests and refuses those beyond the configured rates. Implements `contracts.panel.Limits`.

    Counts in this process, or with all replicas of the server in `counters`. Keys are digests, so nothing
    holds a user's name; what is past its window is forgotten.
    """

    def __init__(self, settings: LimitsSection, counters: SharedCounters | None = None) -> None:
        self._enabled = settings.enabled
        self.counters: ExpiringCounters | SharedCounters = counters or ExpiringCounters()
        self._user = RateLimitItemPerMinute(settings.user_per_minute, namespace="user")
        self._session = RateLimitItemPerMinute(settings.session_per_minute, namespace="session")
        self._address = RateLimitItemPerMinute(settings.address_per_minute, namespace="address")

    async def check_user(self, user: UserId) -> None:
        """Count a request of the user.

        :raises ProtocolError: 429 `rate_limited` with `Retry-After`.
        """
        if self._enabled:
            await self._count(self._user, user.section, user.subject)

    async def check_session(self, conversation: ConversationRef) -> None:
        """Count a request in the conversation; raises as `check_user` does."""
        if self._enabled:
            user = conversation.user
            await self._count(
                self._session, conversation.mount, user.section, user.subject, conversation.session
            )

    async def check_address(self, connection: HTTPConnection) -> None:
        """Count a request from the client's address; raises as `check_user` does.

        Does nothing once an authentication plugin has vouched for the user.
        """
        if self._enabled and "user" not in connection.scope:
            await self._count(self._address, network_of(connection))

    async def _count(self, item: RateLimitItem, *parts: str) -> None:
        key = _digest(parts)
        name, window_s = item.key_for(key), item.get_expiry()
        if await self.counters.acquire_sliding_window_entry(name, item.amount, window_s):
            return
        window = await self.counters.get_sliding_window(name, window_s)
        wait_s = _wait_s(item, *window)
        raise ProtocolError(
            429,
            "rate_limited",
            "Too many requests; try again later.",
            headers={"Retry-After": str(max(1, math.floor(wait_s + _MARGIN_S) + 1))},
        )


class ExpiringCounters(MemoryStorage):
    """The library's counters in memory, swept now and then.

    The library starts a task at every hit that looks at every key, and locks what a single event loop
    cannot interleave.
    """

    STORAGE_SCHEME = ["async+jackfield-memory"]  # noqa: RUF012  # declared so by the library

    def __init__(self) -> None:
        super().__init__()
        self._swept_at = time.time()

    def __len__(self) -> int:
        return len(self.storage)

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Add to a counter that starts its clock with the first addition."""
        now = time.time()
        if now - self._swept_at > _SWEEP_S:
            self._sweep(now)
        if self.expirations.get(key, 0.0) <= now:
            self.storage[key] = 0
            self.expirations[key] = now + expiry
        self.storage[key] += amount
        return self.storage[key]

    def _sweep(self, now: float) -> None:
        self._swept_at = now
        for key in [key for key, expires_at in self.expirations.items() if expires_at <= now]:
            del self.expirations[key]
            self.storage.pop(key, None)


def _wait_s(item: RateLimitItem, before: int, before_left_s: float, now: int, now_left_s: float) -> float:
    """Seconds until one more request fits: the window before weighs less with every second."""
    window_s = item.get_expiry()
    room = item.amount - now
    if room > 0 and before:
        return before_left_s - room * window_s / before
    return now_left_s - window_s


def _digest(parts: tuple[str, ...]) -> str:
    return blake2b("\x1f".join(parts).encode(errors="surrogatepass"), digest_size=16).hexdigest()
