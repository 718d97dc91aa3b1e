"""The order of turns: one at a time in a conversation, in the order in which they came."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from jackfield.dialogue.order import TurnOrder
from jackfield.errors import ProtocolError

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def entered(order: TurnOrder, key: str = "k") -> AsyncIterator[None]:
    async with order.turn(key):
        yield


async def test_turns_of_one_conversation_run_one_at_a_time_in_their_order() -> None:
    order = TurnOrder(8)
    log: list[str] = []

    async def turn(number: int) -> None:
        async with order.turn("k"):
            log.append(f"{number} in")
            await anyio.lowlevel.checkpoint()
            log.append(f"{number} out")

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(turn, number)

    assert log == [f"{number} {step}" for number in range(5) for step in ("in", "out")]


async def test_turns_of_different_conversations_do_not_wait() -> None:
    order = TurnOrder(0)
    async with order.turn("a"), order.turn("b"):
        pass


async def test_one_more_than_may_wait_is_refused() -> None:
    order = TurnOrder(2)

    async def turn() -> None:
        async with order.turn("k"):
            pass

    async with order.turn("k"), anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(turn)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(ProtocolError) as error:
            await order.turn("k").__aenter__()
        assert (error.value.status, error.value.code) == (429, "session_busy")
        tasks.cancel_scope.cancel()


async def test_one_that_is_cancelled_while_it_waits_leaves_its_place_to_others() -> None:
    order = TurnOrder(1)
    log: list[str] = []

    async def turn(name: str) -> None:
        async with order.turn("k"):
            log.append(name)

    async with anyio.create_task_group() as tasks, order.turn("k"):
        with anyio.move_on_after(0.01):
            await turn("cancelled")
        tasks.start_soon(turn, "next")
        await anyio.wait_all_tasks_blocked()

    assert log == ["next"]


async def test_one_that_is_cancelled_just_as_its_turn_comes_hands_it_on() -> None:
    order = TurnOrder(2)
    log: list[str] = []
    unlucky = anyio.CancelScope()

    async def cancelled() -> None:
        with unlucky:
            async with order.turn("k"):
                log.append("cancelled one ran")

    async def next_one() -> None:
        async with order.turn("k"):
            log.append("next")

    async with anyio.create_task_group() as tasks, order.turn("k"):
        tasks.start_soon(cancelled)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(next_one)
        await anyio.wait_all_tasks_blocked()
        unlucky.cancel()  # and before it can know, the place is handed over

    assert log == ["next"]


async def test_nothing_is_kept_of_a_conversation_without_turns() -> None:
    order = TurnOrder(2)
    for number in range(100):
        async with order.turn(str(number)):
            pass
    with anyio.move_on_after(0.01):
        async with order.turn("k"), order.turn("k"):
            pass

    assert not vars(order)["_waiting"]


async def test_a_failing_turn_lets_the_next_one_in() -> None:
    order = TurnOrder(0)
    with pytest.raises(KeyError):
        async with order.turn("k"):
            raise KeyError

    async with order.turn("k"):
        pass
