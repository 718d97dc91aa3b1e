"""The application: every door's routes in one place, and the layers round them."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import iter_route_contexts
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute

from jackfield.assembly import Assembly, Built, Door
from jackfield.config.sections import ServerSection
from jackfield.contracts.auth import AuthRoutes
from jackfield.contracts.transport import LargeFrames
from jackfield.errors import ConfigError, Problem
from jackfield.server.clips import clip_probes
from jackfield.server.documentation import Operation, document_sign_in, operations_of
from jackfield.server.errors import add_error_handlers
from jackfield.server.guard import Guard
from jackfield.server.health import StoreProbe, distinct_stores, health_endpoint
from jackfield.server.in_flight import InFlight
from jackfield.server.lifespan import Running, open_server
from jackfield.server.metrics import PrometheusMetrics, metrics_endpoint
from jackfield.server.middleware import RequestContext, RouteLabel
from jackfield.server.observers import EventBus
from jackfield.server.overlap import OwnedRoute, Owner, overlaps, routes_of
from jackfield.server.panel import DoorPanel, build_parts, panel_of, panel_of_extension
from jackfield.server.preflight import check_exposure, check_parts

logger = logging.getLogger(__name__)

_EXPOSED = [
    "Retry-After",
    "X-Request-Id",
    "X-Session-Id",
    "X-Cache",
    "X-Jackfield-Degraded",
    "X-Jackfield-Providers",
    "X-Jackfield-Source",
]


def create_app(assembly: Assembly) -> FastAPI:
    """Make the application of an assembly; nothing is opened before its lifespan begins.

    `app.state.in_flight` holds the requests that are being answered, `app.state.max_frame_bytes` the largest
    WebSocket message that a door asks for.

    :raises ConfigError: with everything that can be told before the start: doors open to everybody, weak
        secrets, routes that overlap, parts that are missing.
    """
    return _Builder(assembly).build()


def create_app_in_part(assembly: Assembly, known: Sequence[Problem]) -> tuple[FastAPI | None, list[Problem]]:
    """Make the application of an assembly that may lack parts, and say what else is wrong with it.

    `known` is what is wrong with the assembly already; the application then serves only to be looked at.
    """
    try:
        return create_app(assembly), []
    except ConfigError as error:
        return None, list(error.problems)
    except Exception:
        if not known:
            raise
        logger.debug("the routes cannot be looked at while parts are missing", exc_info=True)
        return None, _faults_of(assembly)


def _faults_of(assembly: Assembly) -> list[Problem]:
    """What shows to be wrong before there are routes."""
    open_auths = [name for name, auth in assembly.auths.items() if auth.capabilities.lets_all_in]
    return [*check_exposure(assembly.config, open_auths), *check_parts(assembly.config)]


class _Builder:
    """Puts an application together and keeps account of whose route is whose."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._server = assembly.config.server
        self._metrics = PrometheusMetrics()
        self._bus = EventBus(assembly.observers, self._metrics)
        self._in_flight = InFlight(assembly.config.timeouts.request_seconds)
        store_s = assembly.config.timeouts.store_seconds
        self._probes = [StoreProbe(built, store_s) for built in distinct_stores(assembly)]
        self._parts = build_parts(assembly, self._metrics, self._bus.publish)
        self._clip_probes = clip_probes(assembly.config, self._parts.clips)
        self._in_flight.farewell = self._parts.calls.shut_down
        self._panels = [(door, panel_of(door, assembly, self._parts)) for door in assembly.doors]
        self._routes: list[OwnedRoute] = []
        self._guarded: list[Operation] = []
        self._unguarded: list[Operation] = []
        self._labels: dict[Callable[..., Any], RouteLabel] = {}

    def build(self) -> FastAPI:
        problems = _faults_of(self._assembly)
        app = self._empty_app()
        self._add_core_routes(app)
        problems += self._add_doors(app)
        problems += overlaps(self._routes)
        if problems:
            raise ConfigError(list(dict.fromkeys(problems)))
        document_sign_in(app, self._guarded, self._unguarded)
        add_error_handlers(app)
        self._add_layers(app)
        app.state.in_flight = self._in_flight
        app.state.max_frame_bytes = max(map(_frame_bytes, self._assembly.doors), default=0)
        return app

    def _empty_app(self) -> FastAPI:
        server = self._server
        docs = server.docs if server.docs is not None else server.environment != "production"
        panels: list[tuple[Built[Any], DoorPanel]] = [(door.transport, panel) for door, panel in self._panels]
        panels += [(built, panel_of_extension(built, self._parts)) for built in self._assembly.extensions()]
        probes = [*self._probes, *self._clip_probes]
        running = Running(self._assembly, self._parts, panels, self._bus, probes, self._in_flight)

        @asynccontextmanager
        async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
            async with open_server(running):
                yield

        return FastAPI(
            title=server.title,
            version=server.version,
            docs_url="/docs" if docs else None,
            redoc_url=None,
            openapi_url="/openapi.json" if docs else None,
            lifespan=lifespan,
            # It would hand users' words and exceptions' texts to whatever exporter the process has.
            telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        )

    def _add_core_routes(self, app: FastAPI) -> None:
        health = health_endpoint(self._probes, self._assembly.doors, self._in_flight, clips=self._clip_probes)
        app.add_route("/health", health, include_in_schema=False)
        if _shows_metrics(self._server):
            token = self._server.metrics_token
            shown = metrics_endpoint(
                self._metrics, self._read_sizes, token.get_secret_value() if token else None
            )
            app.add_route("/metrics", shown, include_in_schema=False)
        self._routes += routes_of(Owner("", "the core"), app.routes)

    def _add_doors(self, app: FastAPI) -> list[Problem]:
        problems: list[Problem] = []
        for owner, mount, make in self._routers():
            try:
                router = make()
            except ConfigError as error:
                problems += error.problems
                continue
            except Exception as error:  # a plugin is somebody else's code
                logger.debug("the routes of %s failed", owner, exc_info=True)
                message = f'"{owner.name}" cannot give its routes: {type(error).__name__}.'
                problems.append(Problem(owner.section, message, "Mend or update the plugin."))
                continue
            before = len(app.router.routes)
            app.include_router(router, prefix=mount)
            added = app.router.routes[before:]
            self._routes += routes_of(owner, added)
            self._note_sign_in(owner, added)
            for context in iter_route_contexts(added):
                if context.endpoint is not None and context.path is not None:
                    self._labels[context.endpoint] = RouteLabel(owner.name, context.path)
        return problems

    def _note_sign_in(self, owner: Owner, routes: Sequence[BaseRoute]) -> None:
        """Note whether a door's routes are for those who have signed in; a section's own routes say it."""
        for door, panel in self._panels:
            if door.transport.section == owner.section:
                (self._guarded if panel.authenticates else self._unguarded).extend(operations_of(routes))

    def _routers(self) -> Iterator[tuple[Owner, str, Callable[[], APIRouter]]]:
        """Every part with routes: the doors, and the sections that guard them, once a mount."""
        seen: set[tuple[str, str]] = set()
        for door, panel in self._panels:
            built = door.transport
            yield Owner(built.section, built.plugin), door.mount, _call(built.object.routes, panel)
            if door.auth is None or (door.auth, door.mount) in seen:
                continue
            seen.add((door.auth, door.mount))
            auth: Built[Any] = self._assembly.auths[door.auth]
            if isinstance(auth.object, AuthRoutes):
                yield Owner(auth.section, auth.plugin), door.mount, _call(auth.object.routes, panel)

    def _add_layers(self, app: FastAPI) -> None:
        """Wrap the routes; what is added last stands outermost."""
        app.add_middleware(
            Guard, in_flight=self._in_flight, max_body_bytes=self._parts.settings.max_body_bytes
        )
        origins = self._server.cors_origins
        if origins:
            app.add_middleware(
                CORSMiddleware,
                allow_origins=list(origins),
                allow_credentials=self._server.cors_credentials and "*" not in origins,
                allow_methods=["*"],
                allow_headers=["*"],
                expose_headers=_EXPOSED,
            )
        app.add_middleware(RequestContext, labels=self._labels, metrics=self._metrics)

    async def _read_sizes(self) -> None:
        """Set the figures that are read only when somebody looks."""
        audio = self._metrics.gauge("jackfield_audio_bytes", "Bytes of stored spoken answers.")
        audio.set(self._parts.clips.total_bytes)
        sizes = [await probe.size_bytes() for probe in self._probes]
        known = [size for size in sizes if size is not None]
        if known:
            held = self._metrics.gauge("jackfield_store_bytes", "Bytes that the session stores hold.")
            held.set(sum(known))


def _frame_bytes(door: Door) -> int:
    transport = door.transport.object
    return transport.max_frame_bytes if isinstance(transport, LargeFrames) else 0


def _shows_metrics(server: ServerSection) -> bool:
    return server.metrics and (server.environment != "production" or server.metrics_token is not None)


def _call(routes: Callable[[Any], object], panel: DoorPanel) -> Callable[[], APIRouter]:
    def make() -> APIRouter:
        router = routes(panel)
        if not isinstance(router, APIRouter):
            raise TypeError(f"routes() gave a {type(router).__name__}, not an APIRouter")
        return router

    return make
