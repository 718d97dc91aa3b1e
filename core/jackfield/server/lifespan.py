"""From built objects to open ones, and back: what happens while the server starts and stops."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import anyio

from jackfield.assembly import Assembly, Built, Door
from jackfield.contracts.extension import ServerStarted
from jackfield.contracts.transport import Background
from jackfield.errors import ConfigError, JackfieldError, PluginCannotStart, PluginError, Problem
from jackfield.server.health import StoreProbe, distinct_stores, ping
from jackfield.server.in_flight import InFlight
from jackfield.server.observers import EventBus
from jackfield.server.panel import DoorPanel, Parts

logger = logging.getLogger(__name__)

_CLEANUP_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Running:
    """Everything that lives as long as the server."""

    assembly: Assembly
    parts: Parts
    panels: Sequence[tuple[Door, DoorPanel]]
    bus: EventBus
    probes: Sequence[StoreProbe]
    in_flight: InFlight


@asynccontextmanager
async def open_server(running: Running) -> AsyncIterator[None]:
    """Open everything and start the background work; close it all at the end.

    :raises PluginCannotStart: with everything that did not open; what did was closed again.
    """
    async with AsyncExitStack() as stack:
        await _open_all(running, stack)
        gc.collect()
        gc.freeze()  # what was loaded stays; later collections need not look at it
        stack.callback(gc.unfreeze)
        async with anyio.create_task_group() as tasks:
            for name, work in _background(running):
                tasks.start_soon(_keep_apart, name, work, name=name)
            running.bus.publish(ServerStarted())
            yield
            tasks.cancel_scope.cancel()


async def _open_all(running: Running, stack: AsyncExitStack) -> None:
    """Enter every object that wants it, and see whether the stores answer."""
    problems: list[Problem] = []
    for built in running.assembly:
        if isinstance(built.object, AbstractAsyncContextManager):
            problems += await _open(built, built.object, stack)
    if running.assembly.tts.default is not None:
        problems += await _open_clips(running.parts, stack)
    if not problems:
        problems += await _reach_stores(running.assembly)
    if problems:
        raise PluginCannotStart(*dict.fromkeys(problems))


async def _open(
    built: Built[object], opening: AbstractAsyncContextManager[object], stack: AsyncExitStack
) -> Sequence[Problem]:
    began_s = time.monotonic()
    try:
        await stack.enter_async_context(opening)
    except (ConfigError, PluginError) as error:
        return error.problems
    except Exception as error:  # a plugin is somebody else's code
        logger.debug("opening %s failed", built.section, exc_info=True)
        known = isinstance(error, JackfieldError | OSError)
        reason = str(error).rstrip(".") if known else f"{type(error).__name__} while it was opened"
        fix = "" if known else 'With log_level = "DEBUG" in [server] the log shows where.'
        return [Problem(built.section, f'"{built.plugin}" cannot start: {reason}.', fix)]
    kind = built.section.split(".", 1)[0]
    logger.info("loaded %s %s in %.2f s", kind, built.plugin, time.monotonic() - began_s)
    return ()


async def _open_clips(parts: Parts, stack: AsyncExitStack) -> Sequence[Problem]:
    try:
        await stack.enter_async_context(parts.clips)
    except ConfigError as error:
        return error.problems
    return ()


async def _reach_stores(assembly: Assembly) -> list[Problem]:
    problems = []
    for built in distinct_stores(assembly):
        reason = await ping(built.object, assembly.config.timeouts.store_seconds)
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
    ]
    if running.assembly.tts.default is not None:
        every_s = min(_CLEANUP_S, running.assembly.config.audio.ttl_seconds)
        work.append(("clips", lambda: parts.clips.run_cleanup(every_s)))
    work += [("health", probe.run) for probe in running.probes]
    for door, panel in running.panels:
        transport = door.transport.object
        if isinstance(transport, Background):
            work.append((door.transport.section, _bound(transport, panel)))
    return work


def _bound(transport: Background, panel: DoorPanel) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        await transport.run(panel)

    return run


async def _keep_apart(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run; a failure is logged and ends nothing else."""
    try:
        await work()
    except Exception:  # a door's background work is somebody else's code
        logger.exception("[%s] the background work failed and has stopped", name)
