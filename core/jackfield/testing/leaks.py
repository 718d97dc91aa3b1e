"""Threads and tasks that outlive their use."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from typing import Final, Self

import anyio

_POOLS: Final = ("AnyIO worker thread", "asyncio_")
_PATIENCE_S: Final = 2.0
_POLL_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class Running:
    """The threads of the process and the tasks of the event loop at one moment."""

    threads: frozenset[threading.Thread]
    tasks: frozenset[asyncio.Task[object]]

    @classmethod
    def now(cls) -> Self:
        """Look. Called on the event loop."""
        tasks = frozenset(task for task in asyncio.all_tasks() if not _of_the_test_runner(task))
        return cls(frozenset(threading.enumerate()), tasks)


async def left_running(before: Running, lasting_threads: tuple[str, ...] = ()) -> list[str]:
    """Name what runs now and did not run before; things on their way out are given two seconds."""
    until = time.monotonic() + _PATIENCE_S
    while (left := _names(before, Running.now(), lasting_threads)) and time.monotonic() < until:  # noqa: ASYNC110  # nothing tells of their end
        await anyio.sleep(_POLL_S)
    return left


def _of_the_test_runner(task: asyncio.Task[object]) -> bool:
    """Whether it is one of the tasks in which anyio runs tests and fixtures, a new one for each step."""
    return getattr(task.get_coro(), "__qualname__", "").startswith("TestRunner.")


def _names(before: Running, after: Running, lasting_threads: tuple[str, ...]) -> list[str]:
    allowed = (*_POOLS, *lasting_threads)
    threads = [thread.name for thread in after.threads - before.threads]
    return [
        *(f"thread {name!r}" for name in threads if not name.startswith(allowed)),
        *(f"task {task.get_name()!r}" for task in after.tasks - before.tasks),
    ]
