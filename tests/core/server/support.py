"""A server of test parts on a real socket, in the test's own event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import httpx
from fastapi import APIRouter

from jackfield.assembly import Assembly, Built, Door, Providers
from jackfield.config.sections import Config
from jackfield.contracts.auth import Auth
from jackfield.contracts.extension import Observer
from jackfield.contracts.panel import Panel
from jackfield.contracts.session import SessionStore
from jackfield.errors import StoreUnavailable
from jackfield.plugin import Capabilities
from jackfield.server.app import create_app
from jackfield.server.in_flight import InFlight
from jackfield.server.ports import bind
from jackfield.server.serve import Server, uvicorn_config

AddRoutes = Callable[[APIRouter, Panel], None]


class TrialDoor:
    """A transport with the routes that a test wants."""

    def __init__(self, add: AddRoutes) -> None:
        self._add = add

    def routes(self, panel: Panel) -> APIRouter:
        router = APIRouter()
        self._add(router, panel)
        return router


class TrialStore:
    """A store that answers, fails or hangs."""

    def __init__(self) -> None:
        self.failing = False
        self.hanging = False
        self.bytes: int | None = 123

    async def ping(self) -> None:
        if self.hanging:
            await anyio.sleep_forever()
        if self.failing:
            raise StoreUnavailable("connection refused")

    async def size_bytes(self) -> int | None:
        return self.bytes


def door(
    add: AddRoutes, *, mount: str = "", auth: str | None = None, name: str = "trial", number: int = 1
) -> Door:
    """A door of the assembly."""
    return Door(Built(f"transport.{number}", name, Capabilities(), TrialDoor(add)), mount, auth)


def assembly(
    *doors: Door,
    config: Mapping[str, Any] | None = None,
    auths: Mapping[str, Auth] | None = None,
    store: SessionStore | None = None,
    observers: tuple[Observer, ...] = (),
) -> Assembly:
    """An assembly of test parts. The configuration names the doors, so that it is judged by them."""
    transports = [
        {"use": door.transport.plugin, "mount": door.mount or "/", "auth": door.auth} for door in doors
    ]
    found: dict[str, Any] = {"transport": transports, **(config or {})}
    return Assembly(
        config=Config.model_validate(found),
        llm=Providers(),
        stt=Providers(),
        tts=Providers(),
        realtime=Providers(),
        vad=None,
        stores={} if store is None else {"windows": Built("session", "trial", Capabilities(), store)},
        doors=doors,
        auths={
            name: Built(f"auth.{name}", "trial", Capabilities(), auth) for name, auth in (auths or {}).items()
        },
        observers=tuple(Built("extension.1", "trial", Capabilities(), one) for one in observers),
    )


@dataclass
class Served:
    """A server that listens."""

    url: str
    client: httpx.AsyncClient
    server: Server
    in_flight: InFlight

    @property
    def port(self) -> int:
        """Where it listens."""
        return httpx.URL(self.url).port or 0

    async def figures(self) -> str:
        """The text of `/metrics`."""
        return (await self.client.get("/metrics")).text


@asynccontextmanager
async def serving(parts: Assembly) -> AsyncIterator[Served]:
    """Serve an assembly until the end of the block."""
    app = create_app(parts)
    listener = bind("127.0.0.1", 0)
    server = Server(uvicorn_config(parts.config, app), app.state.in_flight, parts.config.timeouts)
    listening = anyio.Event()
    server.when_listening = listening.set
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with listener:
        async with app.router.lifespan_context(app), anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            await listening.wait()
            async with httpx.AsyncClient(base_url=url, trust_env=False, verify=False) as client:
                yield Served(url, client, server, app.state.in_flight)
            server.stop(now=True)


def with_audio(parts: Assembly, folder: Path) -> Assembly:
    """The same, its spoken answers in a folder of the test."""
    audio = parts.config.audio.model_copy(update={"directory": str(folder)})
    return replace(parts, config=parts.config.model_copy(update={"audio": audio}))
