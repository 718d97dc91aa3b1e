"""A door for measuring: tells how long the garbage collector has stopped the server."""

from __future__ import annotations

from fastapi import APIRouter

from bench.call_pauses import Pauses
from jackfield.contracts.panel import Panel
from jackfield.plugin import Capabilities, Options, PluginInfo, Site, hookimpl


class BenchPausesTransport:
    """Tells on request."""

    def routes(self, panel: Panel) -> APIRouter:
        """One route, JSON."""
        router = APIRouter()
        router.add_api_route("/pauses", Pauses().told)
        return router


@hookimpl
def plugin_info() -> PluginInfo:
    """Describe the plugin."""
    return PluginInfo(
        kind="transport",
        name="bench_pauses",
        summary="Pauses of the garbage collector, for measuring.",
        capabilities=lambda _options: Capabilities(),
    )


@hookimpl
def make_transport(options: Options, site: Site) -> BenchPausesTransport:
    """Build the door."""
    return BenchPausesTransport()
