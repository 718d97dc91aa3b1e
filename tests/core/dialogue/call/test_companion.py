"""A task beside another one: one job at a time, ended or abandoned, and nobody left waiting."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from jackfield.dialogue.call.companion import Companion

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def company() -> AsyncIterator[Companion]:
    companion = Companion()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(companion.run)
        await anyio.wait_all_tasks_blocked()
        yield companion
        tasks.cancel_scope.cancel()


class Job:
    """Lasts until it is let go."""

    def __init__(self) -> None:
        self.go = anyio.Event()
        self.log: list[str] = []

    async def run(self) -> None:
        self.log.append("begun")
        try:
            await self.go.wait()
            self.log.append("done")
        finally:
            self.log.append("over")


async def test_a_job_is_done_meanwhile_and_waited_for() -> None:
    async with company() as companion:
        for _ in range(2):
            job = Job()
            companion.begin(job.run)
            await anyio.wait_all_tasks_blocked()
            assert job.log == ["begun"]
            job.go.set()
            await companion.finish()
            assert job.log == ["begun", "done", "over"]


async def test_without_a_job_there_is_nothing_to_wait_for() -> None:
    async with company() as companion:
        await companion.finish()
        await companion.abandon()


async def test_an_abandoned_job_is_cancelled_and_the_next_one_done() -> None:
    async with company() as companion:
        for begins in (True, False):
            job = Job()
            companion.begin(job.run)
            if begins:
                await anyio.wait_all_tasks_blocked()
            await companion.abandon()
            assert job.log in (["begun", "over"], [])
        companion.begin((last := Job()).run)
        last.go.set()
        await companion.finish()

    assert last.log == ["begun", "done", "over"]


async def test_who_is_cancelled_waits_for_the_end_of_the_abandoned_job() -> None:
    job = Job()
    async with company() as companion:
        with anyio.CancelScope() as scope:
            companion.begin(job.run)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
            try:
                await companion.finish()
            finally:
                await companion.abandon()
                assert job.log == ["begun", "over"]


async def test_what_goes_wrong_is_raised_where_the_job_is_waited_for_and_the_next_one_done() -> None:
    async def fail() -> None:
        raise ValueError("broken")

    async with company() as companion:
        companion.begin(fail)
        with pytest.raises(ValueError, match="broken"):
            await companion.finish()
        companion.begin(fail)
        await companion.abandon()
        companion.begin((last := Job()).run)
        last.go.set()
        await companion.finish()

    assert last.log == ["begun", "done", "over"]


@pytest.mark.parametrize("begins", [True, False])
async def test_nobody_waits_for_a_companion_that_has_gone(*, begins: bool) -> None:
    companion, job = Companion(), Job()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(companion.run)
        await anyio.wait_all_tasks_blocked()
        companion.begin(job.run)
        if begins:
            await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()

    await companion.finish()
    companion.begin(job.run)
    await companion.finish()

    assert "done" not in job.log
