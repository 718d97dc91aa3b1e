"""Voice socket: a live conversation over a plain WebSocket, for devices and pages.

Binary messages are sound, text messages are JSON; the page that describes them, message by message, is
docs/voice-socket.md. It keeps nothing and decides nothing about the conversation: that is the panel's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from jackfield import Capabilities, Options, PluginInfo, Site, hookimpl

if TYPE_CHECKING:
    from jackfield.contracts.transport import Transport


class VoiceSocketOptions(Options):
    """What a voice socket accepts, and how far ahead it sends."""

    lead_ms: int = Field(
        400, ge=100, le=5_000, description="Milliseconds of sound sent ahead of what the listener hears."
    )
    max_frame_bytes: int = Field(65_536, ge=1_024, le=1_048_576, description="Bytes of one message.")
    max_text_chars: int = Field(
        4_096, ge=1, le=1_000_000, description="Characters of a typed message, after normalising."
    )
    max_waiting_bytes: int = Field(
        262_144, ge=65_536, description="Bytes that may wait for a client that reads too slowly."
    )
    start_s: float = Field(10.0, gt=0, description="Seconds within which `start` must come.")


def _capabilities(_options: VoiceSocketOptions) -> Capabilities:
    return Capabilities(roles=("windows",))


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="transport",
        name="voice_socket",
        summary="Live conversations over a plain WebSocket, for devices and pages.",
        options=VoiceSocketOptions,
        capabilities=_capabilities,
    )


@hookimpl
def make_transport(options: VoiceSocketOptions, site: Site) -> Transport:
    from jackfield_transport_voice_socket.door import VoiceSocket

    return VoiceSocket(options, site)
