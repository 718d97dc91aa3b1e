"""PiChat: one assistant for a web page and a voice device at once, which stay in step.

A WebSocket at `/ws` with frames of `{action, payload}`: conversations, messages, settings and speech both
ways; and the same as routes under `/api`. The page that describes both for front-end developers is
docs/pichat.md. What changes is told to every other socket of its user, on every server that shares the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jackfield import Capabilities, PluginInfo, Site, hookimpl
from jackfield_transport_pichat.options import PichatOptions

if TYPE_CHECKING:
    from jackfield.contracts.transport import Transport

__all__ = ["PichatOptions", "make_transport", "plugin_info"]


def _capabilities(_options: PichatOptions) -> Capabilities:
    return Capabilities(roles=("records", "signals"))


@hookimpl
def plugin_info() -> PluginInfo:
    """Describe the plugin."""
    return PluginInfo(
        kind="transport",
        name="pichat",
        summary="Conversations that last, and speech both ways, for several devices of a user at once.",
        options=PichatOptions,
        capabilities=_capabilities,
    )


@hookimpl
def make_transport(options: PichatOptions, site: Site) -> Transport:
    """Build the door."""
    from jackfield_transport_pichat.door import Pichat

    return Pichat(options, site)
