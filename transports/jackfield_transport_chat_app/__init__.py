"""Chat app: a chat page talks over a WebSocket, sees live figures, and finds its chats again later.

`/ws/chat`, and `GET /chats`, `GET /chat/{id}`, `POST /chat`, `POST /generate` and `GET /stats` for whoever
has no WebSocket; the page that describes them is docs/chat-app.md. Chats are conversations of the session
store. What several servers must tell each other goes through the store's role `signals`, where it has one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from jackfield import Capabilities, Options, PluginInfo, Site, hookimpl

if TYPE_CHECKING:
    from jackfield.contracts.transport import Transport


class ChatAppOptions(Options):
    """What the chat app accepts, remembers and sends."""

    max_message_chars: int = Field(
        16_000, ge=1, le=1_000_000, description="Characters of a message, after normalising."
    )
    max_frame_bytes: int = Field(
        65_536, ge=1_024, le=16_777_216, description="Bytes of one frame; a larger one closes the socket."
    )
    max_bad_frames: int = Field(
        20, ge=1, le=1_000, description="Frames within a minute that break a rule, and close the socket."
    )
    max_unanswered: int = Field(
        4, ge=1, le=100, description="Messages of one socket that may wait for their answers."
    )
    context_messages: int = Field(
        20,
        ge=1,
        le=1_000,
        description="Newest messages of a chat that the model is told, with the new one.",
    )
    history_messages: int = Field(
        200, ge=1, le=1_000, description="Newest messages of a chat in the event `chat_history`."
    )
    history_after_turn: bool = Field(
        True,
        description="Whether the sender of a message, too, gets `chat_history` with the two new ones.",
    )


def _capabilities(_options: ChatAppOptions) -> Capabilities:
    return Capabilities(roles=("records",))


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="transport",
        name="chat_app",
        summary="A chat page over a WebSocket, with lasting chats and live figures.",
        options=ChatAppOptions,
        capabilities=_capabilities,
    )


@hookimpl
def make_transport(options: ChatAppOptions, site: Site) -> Transport:
    from jackfield_transport_chat_app.door import ChatApp

    return ChatApp(options, site)
