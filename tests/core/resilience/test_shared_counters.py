"""Rate limits that several servers count together."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from itertools import count

import anyio
import pytest

from jackfield.config.sections import LimitsSection
from jackfield.contracts.auth import UserId
from jackfield.errors import ProtocolError, StoreUnavailable
from jackfield.resilience.limits import RateLimits
from jackfield.resilience.shared_counters import SharedCounters
from jackfield.testing import ManualClock
from jackfield_session_memory import MemoryOptions, MemoryStore

pytestmark = pytest.mark.anyio

USER = UserId("accounts", "ada")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """Two thirds into a minute, for the counters and for the store."""
    clock = ManualClock()
    clock.advance(1_000_020.0)
    monkeypatch.setattr(time, "time", clock)
    return clock


@pytest.fixture
async def store(clock: ManualClock) -> AsyncIterator[MemoryStore]:
    async with MemoryStore(MemoryOptions(), clock=clock) as store:
        yield store


def server(store: MemoryStore, per_minute: int = 10) -> RateLimits:
    settings = LimitsSection.model_validate({"user_per_minute": per_minute})
    return RateLimits(settings, SharedCounters(store, store_s=1))


async def allowed(limits: RateLimits) -> int:
    """How many requests of the user pass now."""
    for passed in count():
        try:
            await limits.check_user(USER)
        except ProtocolError:
            return passed
    raise AssertionError


async def test_servers_count_together(store: MemoryStore) -> None:
    first, second = server(store), server(store)
    for limits in (first, second, first):
        await limits.check_user(USER)

    assert await allowed(second) == 7
    assert await allowed(first) == 0


async def test_the_window_slides(store: MemoryStore, clock: ManualClock) -> None:
    limits = server(store)
    assert await allowed(limits) == 10
    clock.advance(60)
    assert await allowed(limits) == 7  # a third of the minute before still counts
    clock.advance(120)
    assert await allowed(limits) == 10


async def test_a_refused_request_does_not_count(store: MemoryStore, clock: ManualClock) -> None:
    limits = server(store)
    assert await allowed(limits) == 10
    for _ in range(30):
        assert await allowed(limits) == 0
    clock.advance(60)
    assert await allowed(limits) == 7


async def test_who_waits_as_long_as_it_was_told_is_let_in(store: MemoryStore, clock: ManualClock) -> None:
    limits = server(store, per_minute=3)
    await allowed(limits)
    with pytest.raises(ProtocolError) as refused:
        await limits.check_user(USER)
    clock.advance(float(refused.value.headers["Retry-After"]))

    await limits.check_user(USER)


async def test_many_at_once_are_never_too_many(store: MemoryStore) -> None:
    servers = [server(store), server(store)]
    passed = 0

    async def ask(limits: RateLimits) -> None:
        nonlocal passed
        try:
            await limits.check_user(USER)
        except ProtocolError:
            return
        passed += 1

    async with anyio.create_task_group() as tasks:
        for at in range(40):
            tasks.start_soon(ask, servers[at % 2])

    assert passed == 10


async def test_a_store_that_does_not_answer_is_told() -> None:
    class Silent(MemoryStore):
        async def count(self, key: str, *, ttl_s: float, by: int = 1) -> int:
            await anyio.sleep_forever()
            raise AssertionError

    limits = RateLimits(LimitsSection(), SharedCounters(Silent(MemoryOptions()), store_s=0.05))

    with pytest.raises(StoreUnavailable):
        await limits.check_user(USER)
