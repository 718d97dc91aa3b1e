"""OpenAI's transcriptions, and every server that has them: speech goes there, words come back.

It hears whole utterances: each is sent when it has ended, and nobody sees partial transcripts. Recordings
leave this machine unless the server is on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jackfield.plugin import Capabilities, PluginInfo, Site, hookimpl
from jackfield.services import is_on_this_machine
from jackfield_stt_openai.options import OpenAISTTOptions

if TYPE_CHECKING:
    from jackfield_stt_openai.stt import OpenAISTT

__all__ = ["OpenAISTTOptions", "make_stt", "plugin_info"]


def _capabilities(options: OpenAISTTOptions) -> Capabilities:
    return Capabilities(
        languages=(options.language,) if options.language else (),
        models=(options.model,),
        network=not is_on_this_machine(options.base_url),
    )


@hookimpl
def plugin_info() -> PluginInfo:
    """Describe the plugin."""
    return PluginInfo(
        kind="stt",
        name="openai",
        summary="OpenAI's transcriptions, or those of any server with the same API.",
        options=OpenAISTTOptions,
        extra="jackfield[openai]",
        capabilities=_capabilities,
    )


@hookimpl
def make_stt(options: OpenAISTTOptions, site: Site) -> OpenAISTT:
    """Build the recogniser; its client is opened when it is entered."""
    from jackfield_stt_openai.stt import OpenAISTT

    return OpenAISTT(options)
