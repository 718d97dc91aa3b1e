"""OpenAI's speech, and every server that has it: text goes there, sound comes back while it is made.

Servers that send WAV, MP3 or another format instead of bare samples are understood too; WAV while it
comes, everything else once all of it is there. Texts leave this machine unless the server is on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jackfield.plugin import Capabilities, PluginInfo, Site, hookimpl
from jackfield.services import is_on_this_machine
from jackfield_tts_openai.options import OpenAITTSOptions

if TYPE_CHECKING:
    from jackfield_tts_openai.tts import OpenAITTS

__all__ = ["OpenAITTSOptions", "make_tts", "plugin_info"]


def _capabilities(options: OpenAITTSOptions) -> Capabilities:
    return Capabilities(
        voices=options.every_voice,
        models=(options.model,),
        network=not is_on_this_machine(options.base_url),
    )


@hookimpl
def plugin_info() -> PluginInfo:
    """Describe the plugin."""
    return PluginInfo(
        kind="tts",
        name="openai",
        summary="OpenAI's speech, or that of any server with the same API.",
        options=OpenAITTSOptions,
        extra="jackfield[openai]",
        capabilities=_capabilities,
    )


@hookimpl
def make_tts(options: OpenAITTSOptions, site: Site) -> OpenAITTS:
    """Build the voice; its client is opened when it is entered."""
    from jackfield_tts_openai.tts import OpenAITTS

    return OpenAITTS(options)
