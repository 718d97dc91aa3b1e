"""A door that counts what the server holds: tasks, threads, and the objects that a call is made of."""

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

_OF_CALLS: Final = ("jackfield.dialogue.call.", "jackfield_transport_voice_socket.", "jackfield.audio.")


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
        "tasks": Counter(getattr(task.get_coro(), "__qualname__", "?") for task in asyncio.all_tasks()),
        "threads": Counter(thread.name for thread in threading.enumerate()),
        "objects": Counter(kind.__name__ for kind in kinds if kind.__module__.startswith(_OF_CALLS)),
        "blocks": sys.getallocatedblocks(),
    }


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
