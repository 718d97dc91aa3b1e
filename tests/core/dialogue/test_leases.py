"""Turns of one conversation on several servers that share a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from jackfield.contracts.session import Lease
from jackfield.dialogue.leases import TurnLeases
from jackfield.dialogue.order import TurnOrder
from jackfield.errors import StoreUnavailable
from tests.core.dialogue.stage import Stage

pytestmark = pytest.mark.anyio


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def server(stage: Stage, shared: Any = None) -> TurnOrder:
    return TurnOrder(8, TurnLeases(shared or stage.store, stage.sessions))


async def test_a_turn_waits_for_that_of_another_server(stage: Stage) -> None:
    first, second = server(stage), server(stage)
    log: list[str] = []
    began = anyio.Event()

    async def wait_and_speak() -> None:
        await began.wait()
        async with second.turn("k"):
            log.append("second")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait_and_speak)
        async with first.turn("k"):
            began.set()
            await anyio.wait_all_tasks_blocked()
            log.append("first")

    assert log == ["first", "second"]


async def test_other_conversations_do_not_wait(stage: Stage) -> None:
    first, second = server(stage), server(stage)
    async with first.turn("a"), second.turn("b"):
        pass


async def test_turns_of_one_server_keep_their_order(stage: Stage) -> None:
    order, log = server(stage), []

    async def turn(number: int) -> None:
        async with order.turn("k"):
            await anyio.lowlevel.checkpoint()
            log.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(turn, number)

    assert log == list(range(5))


async def test_the_conversations_of_a_server_that_died_are_free_after_a_while(stage: Stage) -> None:
    dead, alive = server(stage), server(stage)
    await dead.turn("k").__aenter__()  # and never leaves
    stage.clock.advance(15)

    with anyio.fail_after(1):
        async with alive.turn("k"):
            pass


async def test_a_turn_that_takes_long_keeps_its_conversation(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases = TurnLeases(stage.store, stage.sessions)
    monkeypatch.setattr("jackfield.dialogue.leases._RENEW_S", 0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(leases.run)
        async with TurnOrder(8, leases).turn("k"):
            for _ in range(3):
                stage.clock.advance(10)
                await anyio.sleep(0.01)
            assert await stage.store.lease("turn:k", ttl_s=1) is None
        tasks.cancel_scope.cancel()


async def test_turns_are_not_renewed_one_after_the_other(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow:
        asked = 0
        all_asked = anyio.Event()

        async def lease(self, key: str, *, ttl_s: float) -> Lease | None:
            return Lease(key, 1)

        async def renew(self, lease: Lease, *, ttl_s: float) -> bool:
            self.asked += 1
            if self.asked == 3:
                self.all_asked.set()
            await self.all_asked.wait()
            return True

    shared: Any = Slow()
    leases = TurnLeases(shared, stage.sessions)
    monkeypatch.setattr("jackfield.dialogue.leases._RENEW_S", 0)
    for key in ("a", "b", "c"):
        await leases.take(key)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(leases.run)
        with anyio.fail_after(1):
            await shared.all_asked.wait()
        tasks.cancel_scope.cancel()


async def test_who_stops_waiting_leaves_no_place(stage: Stage) -> None:
    first, second = server(stage), server(stage)
    async with first.turn("k"):
        with anyio.move_on_after(0.05):
            async with second.turn("k"):
                raise AssertionError
    with anyio.fail_after(1):
        async with second.turn("k"):
            pass


async def test_who_leaves_while_the_store_grants_the_turn_gives_it_back(stage: Stage) -> None:
    class Far:
        """Its answers take a while to come back."""

        granted = anyio.Event()
        arrives = anyio.Event()

        async def lease(self, key: str, *, ttl_s: float) -> Lease | None:
            lease = await stage.store.lease(key, ttl_s=ttl_s)
            self.granted.set()
            await self.arrives.wait()
            return lease

        async def release(self, lease: Lease) -> bool:
            return await stage.store.release(lease)

    far = Far()

    async def turn() -> None:
        async with server(stage, far).turn("k"):
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(turn)
        await far.granted.wait()
        tasks.cancel_scope.cancel()
        far.arrives.set()

    with anyio.fail_after(1):
        async with server(stage).turn("k"):
            pass


async def test_a_store_that_is_gone_ends_the_turn_and_leaves_no_place(stage: Stage) -> None:
    class Gone:
        there = False

        async def lease(self, key: str, *, ttl_s: float) -> Lease | None:
            if self.there:
                return Lease(key, 1)
            raise StoreUnavailable("gone")

        async def release(self, lease: Lease) -> bool:
            raise StoreUnavailable("gone")

    shared = Gone()
    order = server(stage, shared)
    with pytest.raises(StoreUnavailable):
        async with order.turn("k"):
            raise AssertionError
    shared.there = True
    for _ in range(2):  # a lease that cannot be given back expires by itself
        async with order.turn("k"):
            pass
