"""When the backend of smart-proxy counts as there, told by a clock of the test's own."""

from __future__ import annotations

import logging

import anyio
import pytest

from jackfield_transport_smart_proxy.availability import Availability

pytestmark = pytest.mark.anyio


class Trial:
    """A backend whose probes succeed or fail as the test says, and may wait."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.healthy = True
        self.probes = 0
        self.answering = anyio.Event()
        self.answering.set()
        self.changes: list[bool] = []
        self.availability = Availability(
            self._probe, interval_s=3600, logger=logging.getLogger("trial"), clock=lambda: self.now_s
        )
        self.availability.changed = self.changes.append

    async def _probe(self) -> bool:
        self.probes += 1
        await self.answering.wait()
        return self.healthy


@pytest.fixture
def trial() -> Trial:
    return Trial()


async def test_nothing_is_there_before_it_was_looked_for(trial: Trial) -> None:
    assert not trial.availability.available


async def test_one_good_probe_is_enough(trial: Trial) -> None:
    await trial.availability.look()
    assert trial.availability.available


async def test_one_bad_probe_is_not(trial: Trial) -> None:
    await trial.availability.look()
    trial.healthy = False
    await trial.availability.look()
    assert trial.availability.available
    await trial.availability.look()
    assert not trial.availability.available


async def test_a_good_probe_between_two_bad_ones_counts(trial: Trial) -> None:
    for trial.healthy in (True, False, True, False):
        await trial.availability.look()
    assert trial.availability.available


async def test_a_message_that_was_lost_counts_at_once(trial: Trial) -> None:
    await trial.availability.look()
    trial.now_s += 1
    trial.availability.lost("status 503")
    assert not trial.availability.available
    await trial.availability.look()
    assert trial.availability.available
    assert trial.changes == [True, False, True]


async def test_a_probe_that_began_before_a_message_was_lost_does_not_bring_the_backend_back(
    trial: Trial,
) -> None:
    trial.answering = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(trial.availability.look)
        await anyio.wait_all_tasks_blocked()
        trial.now_s += 1
        trial.availability.lost("time out")
        trial.answering.set()
    assert not trial.availability.available


async def test_what_is_known_for_less_than_two_seconds_is_told_without_a_probe(trial: Trial) -> None:
    await trial.availability.look()
    trial.now_s += 1.9
    assert await trial.availability.now()
    assert trial.probes == 1


async def test_what_is_older_is_found_out_by_one_probe_for_all_who_ask(trial: Trial) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(trial.availability.run)
        await anyio.wait_all_tasks_blocked()
        trial.now_s += 2.1
        trial.healthy = False
        told: list[bool] = []

        async def ask() -> None:
            told.append(await trial.availability.now())

        async with anyio.create_task_group() as asking:
            for _ in range(3):
                asking.start_soon(ask)
        tasks.cancel_scope.cancel()
    assert told == [False] * 3
    assert trial.probes == 2
