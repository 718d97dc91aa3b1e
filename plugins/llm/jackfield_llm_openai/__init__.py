"""OpenAI, and every server that speaks its chat completions: Ollama, vLLM, llama.cpp, gateways.

Prompts leave this machine unless the server is on it. The history is sent with every turn, since the
service keeps none. Retries are left to the core.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from jackfield.plugin import Capabilities, PluginInfo, Site, hookimpl
from jackfield.services import is_on_this_machine
from jackfield_llm_openai.options import OpenAIOptions

if TYPE_CHECKING:
    from jackfield_llm_openai.llm import ChatLLM

__all__ = ["OpenAIOptions", "make_llm", "plugin_info"]


def _capabilities(options: OpenAIOptions) -> Capabilities:
    return Capabilities(
        streaming=True,
        models=(options.model,),
        context_tokens=options.context_tokens,
        network=not is_on_this_machine(options.base_url),
    )


@hookimpl
def plugin_info() -> PluginInfo:
    """Describe the plugin."""
    return PluginInfo(
        kind="llm",
        name="openai",
        summary="OpenAI, or any server with its chat completions (Ollama, vLLM, llama.cpp, gateways).",
        options=OpenAIOptions,
        extra="jackfield[openai]",
        capabilities=_capabilities,
    )


@hookimpl
def make_llm(options: OpenAIOptions, site: Site) -> ChatLLM:
    """Build the model; its client is opened when it is entered."""
    from jackfield_llm_openai.llm import ChatLLM
    from jackfield_openai_account.sdk import openai_client

    return ChatLLM(
        options,
        partial(openai_client, options),
        model=options.model,
        provider="openai",
        max_tokens_field=options.max_tokens_field
        or ("max_completion_tokens" if options.is_openai else "max_tokens"),
    )
