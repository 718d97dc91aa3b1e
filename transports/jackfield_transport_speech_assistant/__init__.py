"""Speech assistant: conversations with browsers over WebRTC and with telephones, each playing a scenario.

A browser's session is made over HTTP, an offer is answered, and from then on sound goes over the connection;
telephones come by way of Twilio. Every replica knows every session; its call runs where its offer or its
stream was taken. docs/speech-assistant.md is for whoever writes a client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jackfield import Capabilities, PluginInfo, Site, hookimpl
from jackfield_transport_speech_assistant.options import SpeechAssistantOptions
from jackfield_transport_speech_assistant.telephone.options import check_installed

if TYPE_CHECKING:
    from jackfield.contracts.transport import Transport


def _capabilities(options: SpeechAssistantOptions) -> Capabilities:
    telephone = options.telephone
    calls = telephone is not None and telephone.calls.enabled
    return Capabilities(network=options.relay_server or calls, roles=("windows", "shared", "signals"))


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="transport",
        name="speech_assistant",
        summary="Spoken conversations with browsers over WebRTC and with telephones by way of Twilio.",
        options=SpeechAssistantOptions,
        extra="jackfield[webrtc]",
        capabilities=_capabilities,
    )


@hookimpl
def make_transport(options: SpeechAssistantOptions, site: Site) -> Transport:
    if options.telephone is not None:
        check_installed(site)
    from jackfield_transport_speech_assistant.door import SpeechAssistant

    return SpeechAssistant(options, site)
