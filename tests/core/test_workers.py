"""Blocking calls: bounded, abandoned at once, and never more than their places."""

from __future__ import annotations

import threading

import anyio
import pytest
from anyio import from_thread

from jackfield.workers import Workers

pytestmark = pytest.mark.anyio


async def test_a_call_gives_what_it_returns_and_raises() -> None:
    def fail() -> int:
        raise ValueError("no")

    async with Workers(1) as workers:
        assert await workers.run(lambda: 3) == 3
        with pytest.raises(ValueError, match="no"):
            await workers.run(fail)
        assert await workers.run(lambda: 4) == 4


async def test_a_cancelled_caller_is_free_while_its_thread_still_works() -> None:
    gate = threading.Event()
    async with Workers(1) as workers:
        began = anyio.current_time()
        with anyio.move_on_after(0.02) as scope:
            await workers.run(lambda: gate.wait(5))
        assert scope.cancelled_caught
        assert anyio.current_time() - began < 1
        gate.set()


async def test_an_abandoned_call_holds_its_place_until_it_ends() -> None:
    gate = threading.Event()
    order: list[str] = []

    def abandoned() -> None:
        gate.wait(5)
        order.append("abandoned")

    async with Workers(1) as workers, anyio.create_task_group() as group:
        with anyio.move_on_after(0.02):
            await workers.run(abandoned)
        group.start_soon(workers.run, lambda: order.append("next"))
        await anyio.wait_all_tasks_blocked()
        assert order == []
        gate.set()
    assert order == ["abandoned", "next"]


async def test_leaving_waits_for_abandoned_calls() -> None:
    gate = threading.Event()
    ended = threading.Event()

    def abandoned() -> None:
        gate.wait(5)
        ended.set()

    async with Workers(2) as workers:
        with anyio.move_on_after(0.02):
            await workers.run(abandoned)
        gate.set()
    assert ended.is_set()


async def test_a_call_of_short_pieces_can_end_early() -> None:
    stopped = threading.Event()

    def pieces() -> None:
        try:
            while True:
                from_thread.check_cancelled()
                stopped.wait(0.001)
        finally:
            stopped.set()

    async with Workers(1) as workers:
        with anyio.move_on_after(0.02):
            await workers.run(pieces)
    assert stopped.is_set()


async def test_a_caller_cancelled_while_it_waits_takes_no_place() -> None:
    gate = threading.Event()
    async with Workers(1) as workers, anyio.create_task_group() as group:
        group.start_soon(workers.run, lambda: gate.wait(5))
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(0.02):
            await workers.run(lambda: None)
        gate.set()
        assert await workers.run(lambda: "free") == "free"


async def test_callers_cancelled_before_their_thread_begins_give_their_places_back() -> None:
    async with Workers(2) as workers:
        for _ in range(50):
            async with anyio.create_task_group() as group:
                group.start_soon(workers.run, lambda: None)
                await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
        assert await workers.run(lambda: "free") == "free"
