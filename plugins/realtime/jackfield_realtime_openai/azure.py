"""Azure OpenAI: a speech-to-speech model that a resource of one's own has deployed.

The sound of the whole call goes to the region of the resource. Only the WebSocket is spoken: browsers' offers
are not passed on, and clients get no keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jackfield.plugin import Capabilities, PluginInfo, Site, hookimpl
from jackfield.services import is_on_this_machine
from jackfield_realtime_openai.options import VOICES, AzureRealtimeOptions

if TYPE_CHECKING:
    from jackfield_realtime_openai.model import OpenAIRealtime

__all__ = ["AzureRealtimeOptions", "make_realtime", "plugin_info"]


def _capabilities(options: AzureRealtimeOptions) -> Capabilities:
    return Capabilities(
        streaming=True,
        voices=VOICES,
        models=(options.deployment,),
        network=not is_on_this_machine(options.endpoint),
    )


@hookimpl
def plugin_info() -> PluginInfo:
    """Describe the plugin."""
    return PluginInfo(
        kind="realtime",
        name="azure_openai",
        summary="Speech-to-speech models that a resource of Azure OpenAI has deployed.",
        options=AzureRealtimeOptions,
        capabilities=_capabilities,
    )


@hookimpl
def make_realtime(options: AzureRealtimeOptions, site: Site) -> OpenAIRealtime:
    """Build the model; each call has a connection of its own, which is made when its session is entered."""
    from jackfield_realtime_openai.model import OpenAIRealtime

    return OpenAIRealtime(options, site.logger)
