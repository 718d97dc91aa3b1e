"""A door that counts what the server holds: tasks, threads, and what calls and sockets are made of."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections import Counter
from typing import Final

from fastapi import APIRouter

from jackfield.contracts.panel import Panel
from jackfield.plugin import Capabilities, Options, PluginInfo, Site, hookimpl

_WRAPPED: Final = "TaskHandle._run_coro"
_OF_CONNECTIONS: Final = (
    "jackfield.dialogue.call.",
    "jackfield.sockets",
    "jackfield.audio.",
    "jackfield_transport_voice_socket.",
    "jackfield_transport_chat_app.audience",
    "jackfield_transport_chat_app.connection",
    "jackfield_transport_pichat.audience",
    "jackfield_transport_pichat.connection",
    "jackfield_transport_smart_proxy.live",
    "jackfield_transport_speech_assistant.",
    "jackfield_realtime_openai.",
    "aioice.",
    "aiortc.",
    "pylibsrtp",
    "OpenSSL.",
)


class SoakCensusTransport:
    """Counts on request."""

    def routes(self, panel: Panel) -> APIRouter:
        """One route, JSON."""
        router = APIRouter()
        router.add_api_route("/census", census)
        return router


async def census(objects: bool = False) -> dict[str, int | dict[str, int]]:
    """Count by name; the request itself is one of the tasks. Looking at objects holds up everybody."""
    kinds = [type(each) for each in _objects()] if objects else []
    return {
        "tasks": Counter(map(_name, asyncio.all_tasks())),
        "threads": Counter(thread.name for thread in threading.enumerate()),
        "objects": Counter(kind.__name__ for kind in kinds if kind.__module__.startswith(_OF_CONNECTIONS)),
        "blocks": sys.getallocatedblocks(),
    }


def _name(task: asyncio.Task[object]) -> str:
    """What a task runs: anyio wraps it, and names the task after it; a door may have named it with a user."""
    name: str = getattr(task.get_coro(), "__qualname__", "?")
    return ".".join(task.get_name().split()[0].split(".")[-2:]) if name == _WRAPPED else name


def _objects() -> list[object]:
    gc.collect()
    return gc.get_objects()


@hookimpl
def plugin_info() -> PluginInfo:
    """Describe the plugin."""
    return PluginInfo(
        kind="transport",
        name="soak_census",
        summary="Counts what a server holds, for endurance trials.",
        capabilities=lambda _options: Capabilities(),
    )


@hookimpl
def make_transport(options: Options, site: Site) -> SoakCensusTransport:
    """Build the door."""
    return SoakCensusTransport()
