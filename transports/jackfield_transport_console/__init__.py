"""Console: a page to type, record a clip or hold a live call, and to see how quickly the server answers.

The page is a client of the doors speech_assistant and relay_chat like any other, and is served as it lies in
this package; docs/console.md is for whoever uses it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from jackfield import Options, PluginInfo, Site, hookimpl

if TYPE_CHECKING:
    from jackfield.contracts.transport import Transport

_MOUNT = r"/|(/[A-Za-z0-9._~-]+)+"


class ConsoleOptions(Options):
    """Which doors the page talks with."""

    title: str = Field("Jackfield", min_length=1, max_length=64, description="What the page is called.")
    speech: str | None = Field(
        None,
        pattern=f"^({_MOUNT})$",
        description="Mount of the door `speech_assistant` that live calls go through. Without it, the first.",
    )
    chat: str | None = Field(
        None,
        pattern=f"^({_MOUNT})$",
        description="Mount of the door with `POST /chat` (`relay_chat`, `smart_proxy`) that messages and "
        "recordings go through outside of calls. Without it, the first.",
    )


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="transport",
        name="console",
        summary="A page to type, record and call, which shows how quickly answers come.",
        options=ConsoleOptions,
    )


@hookimpl
def make_transport(options: ConsoleOptions, site: Site) -> Transport:
    from jackfield_transport_console.page import Console

    return Console(options, site)
