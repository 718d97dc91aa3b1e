"""OpenAI's speech-to-speech models over their WebSocket, and every server with the same protocol.

The sound of the whole call leaves this machine unless the server is on it.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from jackfield.plugin import Capabilities, PluginInfo, Site, hookimpl
from jackfield.services import is_on_this_machine
from jackfield_realtime_openai.options import VOICES, OpenAIRealtimeOptions

if TYPE_CHECKING:
    from jackfield_realtime_openai.model import OpenAIRealtime

__all__ = ["OpenAIRealtimeOptions", "make_realtime", "plugin_info"]


def _capabilities(options: OpenAIRealtimeOptions) -> Capabilities:
    return Capabilities(
        streaming=True,
        voices=VOICES,
        models=(options.model,),
        network=not is_on_this_machine(options.base_url),
    )


@hookimpl
def plugin_info() -> PluginInfo:
    """Describe the plugin."""
    return PluginInfo(
        kind="realtime",
        name="openai",
        summary="OpenAI's speech-to-speech models, or any server with the same protocol.",
        options=OpenAIRealtimeOptions,
        capabilities=_capabilities,
    )


@hookimpl
def make_realtime(options: OpenAIRealtimeOptions, site: Site) -> OpenAIRealtime:
    """Build the model; each call has a connection of its own, which is made when its session is entered.

    Only with the SDK it takes browsers' offers and gives clients keys.
    """
    if find_spec("openai") is None:
        from jackfield_realtime_openai.model import OpenAIRealtime

        return OpenAIRealtime(options, site.logger)
    from jackfield_realtime_openai.far_model import OpenAIFarRealtime

    return OpenAIFarRealtime(options, site.logger)
