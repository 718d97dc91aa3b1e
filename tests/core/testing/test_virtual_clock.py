"""The virtual clock: waiting takes no time, and happens in the right order."""

from __future__ import annotations

import time
from typing import Any

import anyio
import pytest

from jackfield.testing.virtual_clock import VirtualClock

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


async def test_an_hour_passes_at_once_and_exactly() -> None:
    began_s, real_s = anyio.current_time(), time.monotonic()

    await anyio.sleep(3600)

    assert anyio.current_time() - began_s == pytest.approx(3600, abs=1e-6)
    assert time.monotonic() - real_s < 1


async def test_sleepers_wake_in_the_order_of_their_times() -> None:
    woken: list[float] = []

    async def sleep(seconds: float) -> None:
        await anyio.sleep(seconds)
        woken.append(seconds)

    async with anyio.create_task_group() as tasks:
        for seconds in (3.0, 1.0, 2.0, 0.0):
            tasks.start_soon(sleep, seconds)

    assert woken == [0.0, 1.0, 2.0, 3.0]


async def test_time_stands_while_there_is_work() -> None:
    began_s = anyio.current_time()

    for _ in range(100):
        await anyio.lowlevel.checkpoint()

    assert anyio.current_time() == began_s


async def test_a_time_limit_fires_at_its_time() -> None:
    began_s = anyio.current_time()

    with anyio.move_on_after(30) as scope:
        await anyio.sleep_forever()

    assert scope.cancelled_caught
    assert anyio.current_time() - began_s == pytest.approx(30, abs=1e-6)
