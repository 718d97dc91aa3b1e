"""Azure Speech, the recogniser: Microsoft's service, with words while somebody speaks.

Needs a Speech resource (its key and its region) or a container of the service, and the Azure Speech SDK: a
native library under a proprietary licence, for Linux with glibc, macOS and Windows. Sound leaves this
machine. One connection serves a whole call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jackfield import Capabilities, PluginInfo, Site, hookimpl
from jackfield_azure_speech_account import load_sdk
from jackfield_stt_azure.options import AzureSTTOptions

if TYPE_CHECKING:
    from jackfield_stt_azure.stt import AzureSTT

__all__ = ["AzureSTTOptions", "make_stt", "plugin_info"]

_CANCEL_S: Final = 0.3


def _capabilities(options: AzureSTTOptions) -> Capabilities:
    return Capabilities(
        streaming=True,
        languages=options.languages,
        network=not options.is_on_this_machine,
        cancel_s=_CANCEL_S,
    )


@hookimpl
def plugin_info() -> PluginInfo:
    """Describe the plugin."""
    return PluginInfo(
        kind="stt",
        name="azure",
        summary="Azure Speech: Microsoft's recogniser, with words while somebody speaks.",
        options=AzureSTTOptions,
        extra="jackfield[azure-speech]",
        capabilities=_capabilities,
    )


@hookimpl
def make_stt(options: AzureSTTOptions, site: Site) -> AzureSTT:
    """Import the SDK; connections are opened when a stream is entered."""
    load_sdk(site)  # a missing one is told before anything starts
    from jackfield_stt_azure.stt import AzureSTT

    return AzureSTT(options)
