"""Smart-proxy: passes messages on to another server while that is there, and answers them itself while not.

`POST /chat`, `GET /api/voice/{filename}` and the WebSocket `/ws/{user_id}`; the page that describes them is
docs/smart-proxy.md. The other server, the backend, takes the form that relay-chat takes. It needs the extra
`proxy`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jackfield import Capabilities, PluginInfo, Site, hookimpl
from jackfield_transport_smart_proxy.options import SmartProxyOptions, is_this_machine

if TYPE_CHECKING:
    from jackfield.contracts.transport import Transport


def _capabilities(options: SmartProxyOptions) -> Capabilities:
    own = options.fallback.use == "assistant"
    return Capabilities(
        roles=("shared", "windows") if own else ("shared",),
        network=not is_this_machine(options.backend.url),
    )


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="transport",
        name="smart_proxy",
        summary="Passes messages on to a chat server, and answers while that is away.",
        options=SmartProxyOptions,
        extra="jackfield[proxy]",
        capabilities=_capabilities,
    )


@hookimpl
def make_transport(options: SmartProxyOptions, site: Site) -> Transport:
    from jackfield_transport_smart_proxy.proxy import SmartProxy

    return SmartProxy(options, site)
