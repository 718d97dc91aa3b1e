"""When a provider that failed is asked again."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from jackfield.errors import (
    ProviderRateLimited,
    ProviderTimedOut,
    ProviderUnauthorized,
    ProviderUnavailable,
)
from jackfield.resilience.circuit import LONGEST_S, Circuit
from jackfield.testing.virtual_clock import VirtualClock

pytestmark = pytest.mark.anyio

GONE = ProviderUnavailable("gone")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


def fail(circuit: Circuit, error: Exception = GONE) -> None:
    circuit.failed(error, trial=circuit.begin())


def cooldown_s(circuit: Circuit) -> float:
    return circuit.due_s - anyio.current_time()


async def test_it_begins_closed() -> None:
    circuit = Circuit(5)
    assert circuit.closed
    assert circuit.ready


async def test_a_failure_opens_it_until_its_cooldown_is_over() -> None:
    circuit = Circuit(5)
    fail(circuit)
    assert not circuit.ready
    await anyio.sleep(4.9)
    assert not circuit.ready
    await anyio.sleep(0.1)
    assert circuit.ready
    assert not circuit.closed


async def test_the_cooldown_doubles_with_each_failed_trial_up_to_a_bound() -> None:
    circuit = Circuit(5)
    seen = []
    for _ in range(9):
        fail(circuit)
        seen.append(round(cooldown_s(circuit), 3))
        await anyio.sleep(cooldown_s(circuit))
    assert seen == [5, 10, 20, 40, 80, 160, LONGEST_S, LONGEST_S, LONGEST_S]


async def test_success_resets_the_cooldown() -> None:
    circuit = Circuit(5)
    for _ in range(3):
        fail(circuit)
        await anyio.sleep(cooldown_s(circuit))
    circuit.succeeded()
    assert circuit.closed
    fail(circuit)
    assert cooldown_s(circuit) == pytest.approx(5)


async def test_many_requests_that_fail_together_count_once() -> None:
    circuit = Circuit(5)
    trials = [circuit.begin() for _ in range(100)]
    for trial in trials:
        circuit.failed(GONE, trial=trial)
    assert cooldown_s(circuit) == pytest.approx(5)


async def test_a_single_request_tries_it() -> None:
    circuit = Circuit(5)
    fail(circuit)
    await anyio.sleep(5)
    assert circuit.begin()
    assert not circuit.ready
    assert not circuit.begin()


async def test_a_trial_that_decided_nothing_leaves_the_turn_to_the_next() -> None:
    circuit = Circuit(5)
    fail(circuit)
    await anyio.sleep(5)
    circuit.undecided(trial=circuit.begin())
    assert circuit.ready


async def test_a_trial_that_is_never_decided_does_not_hold_the_place_for_ever() -> None:
    circuit = Circuit(5)
    fail(circuit)
    await anyio.sleep(5)
    circuit.begin()
    await anyio.sleep(30)
    assert circuit.ready


async def test_a_success_of_a_request_that_is_no_trial_closes_it_too() -> None:
    circuit = Circuit(5)
    fail(circuit)
    assert not circuit.begin()
    circuit.succeeded()
    assert circuit.closed


async def test_a_provider_that_asks_to_wait_is_left_alone_as_long() -> None:
    circuit = Circuit(5)
    fail(circuit, ProviderRateLimited("busy", retry_after_s=42))
    assert cooldown_s(circuit) == pytest.approx(42)


async def test_nobody_is_left_alone_for_longer_than_the_bound() -> None:
    circuit = Circuit(5)
    fail(circuit, ProviderRateLimited("busy", retry_after_s=1e9))
    assert cooldown_s(circuit) == pytest.approx(LONGEST_S)


async def test_refused_credentials_are_not_tried_again_soon() -> None:
    circuit = Circuit(5)
    fail(circuit, ProviderUnauthorized("no"))
    assert cooldown_s(circuit) == pytest.approx(60)


async def test_openings_and_closings_are_told_once_each() -> None:
    told: list[bool] = []
    circuit = Circuit(5, changed=told.append)
    fail(circuit)
    fail(circuit, ProviderTimedOut("late"))
    circuit.succeeded()
    circuit.succeeded()
    assert told == [True, False]


async def test_one_that_is_probed_is_not_tried_with_requests() -> None:
    circuit = Circuit(5, probed=True)
    fail(circuit)
    await anyio.sleep(100)
    assert not circuit.ready


async def test_waiting_for_the_turn_ends_when_the_cooldown_does() -> None:
    circuit = Circuit(5, probed=True)
    turns: list[float] = []

    async def wait() -> None:
        await circuit.wait_for_turn()
        turns.append(anyio.current_time())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.sleep(7)
        began_s = anyio.current_time()
        fail(circuit)
    assert turns == [pytest.approx(began_s + 5)]
