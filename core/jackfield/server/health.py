"""`GET /health`: whether the stores can be reached, whether the server stops, and what each door adds.

Answers within 100 ms, unless a door has said that it needs longer.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse

from jackfield.assembly import Assembly, Built, Door
from jackfield.contracts.session import SessionStore
from jackfield.contracts.transport import DEGRADED, HealthReporter, PatientReporter
from jackfield.errors import StoreUnavailable
from jackfield.server.in_flight import InFlight

logger = logging.getLogger(__name__)

_BUDGET_S: Final = 0.08

Ping = Callable[[], Awaitable[None]]
"""Asks a service for a sign of life; fails where there is none."""


class Probe:
    """What is known of a service: the outcome of the last ping that ended.

    A ping that takes longer than a caller has time for goes on in the background, so that a service that
    hangs is found out by the time limit of store operations, and one slow answer alarms nobody.
    """

    def __init__(self, section: str, name: str, give_sign: Ping, store_s: float) -> None:
        self.reachable = True
        self._section = section
        self._name = name
        self._give_sign = give_sign
        self._store_s = store_s
        self._wanted = anyio.Event()
        self._answered = anyio.Event()

    async def run(self) -> None:
        """Ping whenever somebody asks, until cancelled."""
        while True:
            await self._wanted.wait()
            reason = await ping(self._give_sign, self._store_s)
            if self.reachable and reason is not None:
                logger.warning("[%s] %s is out of reach: %s", self._section, self._name, reason)
            elif reason is None and not self.reachable:
                logger.info("[%s] %s can be reached again", self._section, self._name)
            self.reachable = reason is None
            self._wanted = anyio.Event()
            self._answered.set()
            self._answered = anyio.Event()

    async def ask(self) -> None:
        """Have the service pinged, and wait for the outcome."""
        answered = self._answered
        self._wanted.set()
        await answered.wait()


class StoreProbe(Probe):
    """What is known of a session store."""

    def __init__(self, built: Built[SessionStore], store_s: float) -> None:
        super().__init__(built.section, built.plugin, built.object.ping, store_s)
        self._store = built.object

    async def size_bytes(self) -> int | None:
        """Bytes that the store holds; None when it cannot tell, or not now."""
        try:
            with anyio.move_on_after(self._store_s):
                return await self._store.size_bytes()
        except Exception:  # a store is somebody else's code
            logger.warning("[%s] cannot tell its size", self._section, exc_info=True)
        return None


async def ping(give_sign: Ping, store_s: float) -> str | None:
    """Ask for a sign of life; gives the reason why there is none, None when there is."""
    try:
        with anyio.fail_after(store_s):
            await give_sign()
    except TimeoutError:
        return f"no answer within {store_s:g} s"
    except (StoreUnavailable, OSError) as error:
        return str(error) or type(error).__name__
    except Exception as error:  # a store is somebody else's code
        logger.debug("a store failed to answer", exc_info=True)
        return type(error).__name__
    return None


def distinct_stores(assembly: Assembly) -> list[Built[SessionStore]]:
    """Every store once, however many roles it serves."""
    return list({id(built.object): built for built in assembly.stores.values()}.values())


def health_endpoint(
    probes: Sequence[Probe], doors: Iterable[Door], in_flight: InFlight, *, clips: Sequence[Probe] = ()
) -> Callable[[Request], Awaitable[JSONResponse]]:
    """Make the handler of `GET /health`: without one of `probes` nothing goes, without `clips` text does."""
    reporters = [
        (door, door.transport.object) for door in doors if isinstance(door.transport.object, HealthReporter)
    ]

    async def show(_request: Request) -> JSONResponse:
        fields: dict[str, Any] = {}
        async with anyio.create_task_group() as tasks:
            for probe in (*probes, *clips):
                tasks.start_soon(_within_budget, probe.ask)
            for door, reporter in reporters:
                tasks.start_soon(_report, door, reporter, fields)
        degraded = fields.pop("status", None) == DEGRADED or not all(probe.reachable for probe in clips)
        if in_flight.draining:
            return JSONResponse({"status": "stopping", **fields}, 503)
        if not all(probe.reachable for probe in probes):
            return JSONResponse({"status": "unhealthy", **fields}, 503)
        return JSONResponse({"status": DEGRADED if degraded else "healthy", **fields})

    return show


async def _within_budget(ask: Callable[[], Awaitable[None]]) -> None:
    with anyio.move_on_after(_BUDGET_S):
        await ask()


async def _report(door: Door, reporter: HealthReporter, fields: dict[str, Any]) -> None:
    budget_s = reporter.health_s if isinstance(reporter, PatientReporter) else _BUDGET_S
    try:
        with anyio.move_on_after(budget_s):
            fields.update(await reporter.health())
    except Exception:  # a door is somebody else's code
        logger.exception("[%s] %s failed to report", door.transport.section, door.transport.plugin)
