"""Language models in GGUF files, run in this process by a prebuilt llama.cpp (xllamacpp).

Several chats are computed together, and what the model has already read of a conversation, or of
instructions that conversations share, is not computed again. Tools reach the model when its chat template
has a place for them; SmolLM2's has none. Texts that the model would read as control tokens, such as
`<|im_end|>`, are made harmless in every message.

The library brings an HTTP server with it that cannot be switched off. Here it listens on no network port:
it is given a socket file in a private folder, which is deleted once the model is loaded, and a random key.
"""

from __future__ import annotations

from typing import Final

from jackfield.contracts.llm import LLM
from jackfield.plugin import Capabilities, PluginInfo, Site, hookimpl
from jackfield_llm_xllamacpp.options import XllamacppOptions

__all__ = ["XllamacppOptions", "make_llm", "plugin_info"]


_READING_S: Final = 0.015
"""Seconds for one token of a prompt: one thread of a busy machine, a model of 135 million parameters."""


def _cancel_s(options: XllamacppOptions) -> float:
    # llama.cpp can be stopped between two steps. When all slots are cancelled while they read long prompts,
    # each of them takes part in one more step, and the first in two.
    return round((options.slots + 1) * options.batch_tokens * _READING_S, 1)


def _capabilities(options: XllamacppOptions) -> Capabilities:
    return Capabilities(
        streaming=True,
        models=(options.model_name,),
        context_tokens=options.context_tokens,
        keeps_prefixes=True,
        network=False,
        cancel_s=_cancel_s(options),
        max_concurrency=options.slots,
    )


@hookimpl
def plugin_info() -> PluginInfo:
    """Describe the plugin."""
    return PluginInfo(
        kind="llm",
        name="xllamacpp",
        summary="GGUF models in this process, several chats computed together (prebuilt llama.cpp).",
        options=XllamacppOptions,
        extra="jackfield[xllamacpp]",
        capabilities=_capabilities,
    )


@hookimpl
def make_llm(options: XllamacppOptions, site: Site) -> LLM:
    """Find the model's file; it is loaded when the object is entered."""
    from jackfield.models import locate
    from jackfield_llm_xllamacpp.llm import XllamacppLLM

    return XllamacppLLM(options, locate(options.model), site)
