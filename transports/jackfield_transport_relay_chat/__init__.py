"""Relay-chat: a web page posts typed text or a recorded voice clip as a form and gets the answer.

`POST /chat`, `GET /audio/{filename}` and `POST /sessions/{sessionId}/refresh`; the page that describes
them for front-end developers is docs/relay-chat.md. It keeps nothing and decides nothing: everything
behind the form is the panel's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from jackfield import Capabilities, Options, PluginInfo, Site, hookimpl

if TYPE_CHECKING:
    from jackfield.contracts.transport import Transport


class RelayChatOptions(Options):
    """What relay-chat accepts and answers."""

    include_transcript: bool = Field(
        False, description="Whether a spoken message's answer carries `transcript`, what was understood."
    )
    max_text_chars: int = Field(
        4096, ge=1, le=1_000_000, description="Characters of a typed message, after normalising."
    )
    history: bool = Field(
        False,
        description="Whether every session is also kept for good, as a conversation that doors with the same "
        "section of authentication can show; needs a session store with the role `records`.",
    )


def _capabilities(options: RelayChatOptions) -> Capabilities:
    return Capabilities(roles=("windows", "records") if options.history else ("windows",))


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="transport",
        name="relay_chat",
        summary="Typed and spoken messages posted as a form by a web page.",
        options=RelayChatOptions,
        capabilities=_capabilities,
    )


@hookimpl
def make_transport(options: RelayChatOptions, site: Site) -> Transport:
    from jackfield_transport_relay_chat.chat import RelayChat

    return RelayChat(options, site)
