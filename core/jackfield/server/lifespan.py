"""From built objects to open ones, and back: what happens while the server starts and stops."""

from __future__ import annotations

import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import anyio

from jackfield.assembly import Assembly, Built
from jackfield.contracts.extension import ServerStarted
from jackfield.contracts.transport import Background
from jackfield.errors import ConfigError, PluginCannotStart, Problem
from jackfield.server.clips import keeps_clips
from jackfield.server.health import Probe, distinct_stores, ping
from jackfield.server.in_flight import InFlight
from jackfield.server.observers import EventBus
from jackfield.server.opening import Openings
from jackfield.server.panel import DoorPanel, Parts

logger = logging.getLogger(__name__)

_COLLECT_AFTER: Final = 10_000
"""Objects after which the collector looks for cycles among the newest; Python's own 700 make it look for
them many times in a second of 250 calls."""


@dataclass(frozen=True, slots=True)
class Running:
    """Everything that lives as long as the server."""

    assembly: Assembly
    parts: Parts
    panels: Sequence[tuple[Built[Any], DoorPanel]]
    """Doors and what extensions built, each with its panel."""
    bus: EventBus
    probes: Sequence[Probe]
    in_flight: InFlight


@asynccontextmanager
async def open_server(running: Running) -> AsyncIterator[None]:
    """Open everything and start the background work; close it all at the end.

    :raises PluginCannotStart: with everything that did not open; what did was closed again.
    """
    problems: list[Problem] = []
    async with anyio.create_task_group() as keepers:
        openings = Openings(keepers)
        try:
            async with AsyncExitStack() as stack:
                problems = await _open_all(running, openings, stack)
                if not problems:
                    async with _working(running):
                        yield
        finally:
            await openings.close()
    if problems:  # raised here: a task group would wrap it
        raise PluginCannotStart(*dict.fromkeys(problems))


@asynccontextmanager
async def _working(running: Running) -> AsyncIterator[None]:
    """Do the background work, everything being open."""
    with _rare_collections():
        async with anyio.create_task_group() as tasks:
            for name, work in _background(running):
                tasks.start_soon(_keep_apart, name, work, name=name)
            running.bus.publish(ServerStarted())
            yield
            tasks.cancel_scope.cancel()


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Let the garbage collector pause the server less: it neither looks at what was loaded nor so often.

    A program that froze what it holds before it made a server is left to itself.
    """
    thresholds = gc.get_threshold()
    ours = gc.get_freeze_count() == 0
    gc.collect()
    if ours:
        gc.freeze()  # what was loaded stays
    gc.set_threshold(_COLLECT_AFTER, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        if ours:
            gc.unfreeze()


async def _open_all(running: Running, openings: Openings, stack: AsyncExitStack) -> list[Problem]:
    """Enter every object that wants it, and see whether the stores answer."""
    problems: list[Problem] = []
    for stage in running.assembly.stages():
        problems += await openings.open(stage)
    if keeps_clips(running.assembly):
        problems += await _open_clips(running.parts, stack)
    problems += running.assembly.clashing_tools()  # of sources they are known now
    return problems or await _reach_stores(running.assembly)


async def _open_clips(parts: Parts, stack: AsyncExitStack) -> Sequence[Problem]:
    try:
        await stack.enter_async_context(parts.clips)
    except ConfigError as error:
        return error.problems
    return ()


async def _reach_stores(assembly: Assembly) -> list[Problem]:
    problems = []
    for built in distinct_stores(assembly):
        reason = await ping(built.object.ping, assembly.config.timeouts.store_seconds)
        if reason is not None:
            message = f'"{built.plugin}" cannot be reached: {reason}.'
            problems.append(Problem(built.section, message, "Start the store, or mend its options."))
    return problems


def _background(running: Running) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
    """All work that is not a request, by name."""
    parts = running.parts
    work: list[tuple[str, Callable[[], Awaitable[None]]]] = [
        ("requests", running.in_flight.run),
        ("sessions", parts.sessions.run),
        ("observers", running.bus.run),
        ("warming", parts.warming.run),
        ("chains", running.assembly.chains.run),
    ]
    if keeps_clips(running.assembly):
        work.append(("clips", parts.clips.run_cleanup))
    if parts.leases is not None:
        work.append(("leases", parts.leases.run))
    work += [("health", probe.run) for probe in running.probes]
    for built, panel in running.panels:
        if isinstance(built.object, Background):
            work.append((built.section, partial(built.object.run, panel)))
    return work


async def _keep_apart(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run; a failure is logged and ends nothing else."""
    try:
        await work()
    except Exception:  # the background work of a plugin is somebody else's code
        logger.exception("[%s] the background work failed and has stopped", name)
