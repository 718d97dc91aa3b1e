"""Rate limits: what fits in a minute, what is said beyond it, and what stays in memory."""

from __future__ import annotations

import asyncio
import time
from itertools import count

import pytest
from starlette.requests import HTTPConnection

from jackfield.config.sections import LimitsSection
from jackfield.contracts.auth import UserId
from jackfield.contracts.turn import ConversationRef
from jackfield.errors import ProtocolError
from jackfield.resilience.limits import ExpiringCounters, RateLimits
from jackfield.testing.clock import ManualClock

pytestmark = pytest.mark.anyio

USER = UserId("accounts", "ada")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """The library reads the wall clock."""
    clock = ManualClock()
    clock.advance(1_000_020.0)  # a third into a minute
    monkeypatch.setattr(time, "time", clock)
    return clock


def limits(**settings: object) -> RateLimits:
    """Limits by their settings."""
    return RateLimits(LimitsSection.model_validate(settings))


def counted(limits: RateLimits) -> ExpiringCounters:
    """What this process counts."""
    assert isinstance(limits.counters, ExpiringCounters)
    return limits.counters


async def allowed(limits: RateLimits, user: UserId = USER) -> int:
    """How many requests of the user pass now."""
    for passed in count():
        try:
            await limits.check_user(user)
        except ProtocolError:
            return passed
    raise AssertionError


async def test_a_user_has_so_many_requests_a_minute(clock: ManualClock) -> None:
    assert await allowed(limits(user_per_minute=7)) == 7


async def test_the_window_slides(clock: ManualClock) -> None:
    subject = limits(user_per_minute=10)
    assert await allowed(subject) == 10
    clock.advance(60.0)
    assert 0 < await allowed(subject) < 10
    clock.advance(120.0)
    assert await allowed(subject) == 10


async def test_whoever_waits_as_told_is_let_in(clock: ManualClock) -> None:
    subject = limits(user_per_minute=10)
    for _ in range(30):
        await allowed(subject)
        with pytest.raises(ProtocolError) as refused:
            await subject.check_user(USER)
        assert (refused.value.status, refused.value.code) == (429, "rate_limited")
        wait_s = int(refused.value.headers["Retry-After"])
        assert wait_s >= 1
        clock.advance(wait_s)
        await subject.check_user(USER)


async def test_users_conversations_and_addresses_are_counted_apart(clock: ManualClock) -> None:
    subject = limits(user_per_minute=1, session_per_minute=1, address_per_minute=1)
    connection = HTTPConnection({"type": "http", "client": ("192.0.2.1", 1), "headers": []})
    for session in ("a", "b"):
        for user in (USER, UserId("claimed:", "ada")):
            await subject.check_session(ConversationRef("", user, session))
    await subject.check_user(USER)
    await subject.check_user(UserId("claimed:", "ada"))
    await subject.check_address(connection)
    with pytest.raises(ProtocolError):
        await subject.check_address(connection)


async def test_addresses_of_one_ipv6_network_are_one_client(clock: ManualClock) -> None:
    subject = limits(address_per_minute=1)
    first = {"type": "http", "client": ("2001:db8::1", 1), "headers": []}
    await subject.check_address(HTTPConnection(first))
    with pytest.raises(ProtocolError):
        await subject.check_address(HTTPConnection({**first, "client": ("2001:db8::ffff", 1)}))
    await subject.check_address(HTTPConnection({**first, "client": ("2001:db8:0:1::1", 1)}))


async def test_nothing_is_counted_when_limits_are_off() -> None:
    subject = limits(enabled=False, user_per_minute=1)
    for _ in range(100):
        await subject.check_user(USER)
    assert len(counted(subject)) == 0


async def test_what_is_past_its_window_is_forgotten(clock: ManualClock) -> None:
    subject = limits(user_per_minute=5)
    for number in range(1000):
        await subject.check_user(UserId("claimed:", str(number)))
    assert len(counted(subject)) == 1000
    clock.advance(200.0)
    await subject.check_user(USER)
    assert len(counted(subject)) == 1


async def test_no_name_is_kept_and_no_task_is_left(clock: ManualClock) -> None:
    tasks = asyncio.all_tasks()
    subject = limits()
    await subject.check_user(USER)
    assert asyncio.all_tasks() == tasks
    assert not any("ada" in key for key in counted(subject).storage)
