"""Speech assistant: sessions that browsers hold over WebRTC, each playing a scenario.

A session is made over HTTP, an offer is answered, and from then on sound goes over the connection. Every
replica knows every session; its call runs where its offer was taken. docs/speech-assistant.md is for whoever
writes a client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jackfield import Capabilities, PluginInfo, Site, hookimpl
from jackfield_transport_speech_assistant.options import SpeechAssistantOptions

if TYPE_CHECKING:
    from jackfield.contracts.transport import Transport


def _capabilities(options: SpeechAssistantOptions) -> Capabilities:
    return Capabilities(network=options.relay_server, roles=("windows", "shared", "signals"))


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="transport",
        name="speech_assistant",
        summary="Spoken conversations with browsers over WebRTC, each playing a scenario.",
        options=SpeechAssistantOptions,
        extra="jackfield[webrtc]",
        capabilities=_capabilities,
    )


@hookimpl
def make_transport(options: SpeechAssistantOptions, site: Site) -> Transport:
    from jackfield_transport_speech_assistant.door import SpeechAssistant

    return SpeechAssistant(options, site)
