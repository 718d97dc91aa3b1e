"""Azure Speech, the recogniser: Microsoft's service, with words while somebody speaks.

Needs a Speech resource (its key and its region) or a container of the service, and the Azure Speech SDK: a
native library under a proprietary licence, for Linux with glibc, macOS and Windows. Sound leaves this
machine. One connection serves a whole call.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from jackfield import Capabilities, PluginInfo, Site, hookimpl
from jackfield.errors import PluginCannotStart, Problem
from jackfield_stt_azure.options import AzureSTTOptions

if TYPE_CHECKING:
    from jackfield_stt_azure.stt import AzureSTT

__all__ = ["AzureSTTOptions", "make_stt", "plugin_info"]

_CANCEL_S: Final = 0.3
_LIBRARIES: Final = "On Debian and Ubuntu: apt-get install libssl3 libuuid1 libstdc++6 ca-certificates"


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
    try:
        import_module("azure.cognitiveservices.speech")  # a missing SDK is told before anything starts
    except OSError as error:  # it is there, and what it is linked against is not
        problem = Problem(site.section, f"The Azure Speech SDK cannot be loaded: {error}.", _LIBRARIES)
        raise PluginCannotStart(problem) from error
    from jackfield_stt_azure.stt import AzureSTT

    return AzureSTT(options)
