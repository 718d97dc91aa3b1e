"""Language models in GGUF files, run in this process by llama.cpp.

Several chats are computed together in one context: a request joins those that run between two steps, a
long prompt shares each step with the others' next tokens, and what the model has already read of a
conversation, or of instructions that conversations share, is not computed again. Needs llama-cpp-python,
which pip compiles on most machines. Cannot call tools.
"""

from __future__ import annotations

from jackfield import Capabilities, PluginInfo, Site, hookimpl
from jackfield.contracts.llm import LLM
from jackfield_llm_llama_cpp.options import LlamaCppOptions

__all__ = ["LlamaCppOptions", "make_llm", "plugin_info"]


def _capabilities(options: LlamaCppOptions) -> Capabilities:
    return Capabilities(
        streaming=True,
        models=(options.model_name,),
        context_tokens=options.context_tokens,
        keeps_prefixes=True,
        network=False,
        # A step that other chats need is finished first; this is how long one takes on a busy machine.
        cancel_s=max(0.5, options.batch_tokens / 64),
        max_concurrency=options.sequences,
    )


@hookimpl
def plugin_info() -> PluginInfo:
    """Describe the plugin."""
    return PluginInfo(
        kind="llm",
        name="llama_cpp",
        summary="GGUF models in this process, several chats computed together (llama-cpp-python).",
        options=LlamaCppOptions,
        extra="jackfield[llama-cpp]",
        capabilities=_capabilities,
    )


@hookimpl
def make_llm(options: LlamaCppOptions, site: Site) -> LLM:
    """Find the model's file; it is loaded when the object is entered."""
    from jackfield.models import locate
    from jackfield_llm_llama_cpp.llm import LlamaCppLLM

    return LlamaCppLLM(options, locate(options.model), site.logger)
