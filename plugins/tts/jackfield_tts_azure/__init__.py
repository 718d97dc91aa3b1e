"""Azure Speech, the voices: Microsoft's service, many languages, sound as it is made.

Needs a Speech resource (its key and its region) or a container of the service, and the Azure Speech SDK: a
native library under a proprietary licence, for Linux with glibc, macOS and Windows. Texts leave this
machine. Connections are kept for the texts to come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jackfield import Capabilities, PluginInfo, Site, hookimpl
from jackfield_azure_speech_account import load_sdk
from jackfield_tts_azure.options import AzureTTSOptions

if TYPE_CHECKING:
    from jackfield_tts_azure.tts import AzureTTS

__all__ = ["AzureTTSOptions", "make_tts", "plugin_info"]

_CANCEL_S: Final = 0.3


def _capabilities(options: AzureTTSOptions) -> Capabilities:
    everybody = (options.multilingual, *options.voices.values())
    names = {name for speakers in everybody for name in (speakers.female, speakers.male) if name}
    return Capabilities(
        voices=tuple(sorted(names)),
        network=not options.is_on_this_machine,
        cancel_s=_CANCEL_S,
        max_concurrency=options.connections,
    )


@hookimpl
def plugin_info() -> PluginInfo:
    """Describe the plugin."""
    return PluginInfo(
        kind="tts",
        name="azure",
        summary="Azure Speech: Microsoft's voices, chosen by language, gender and accent.",
        options=AzureTTSOptions,
        extra="jackfield[azure-speech]",
        capabilities=_capabilities,
    )


@hookimpl
def make_tts(options: AzureTTSOptions, site: Site) -> AzureTTS:
    """Import the SDK; connections are opened when somebody speaks."""
    load_sdk(site)  # a missing one is told before anything starts
    from jackfield_tts_azure.tts import AzureTTS

    return AzureTTS(options)
