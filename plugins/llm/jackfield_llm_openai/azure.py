"""Azure OpenAI: the models that a resource of one's own has deployed.

Prompts go to the region of the resource. Its content filter may refuse a prompt, or end an answer in the
middle. One deployment is one model: further ones are named siblings, `[llm.named."gpt-4"]`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from jackfield.plugin import Capabilities, PluginInfo, Site, hookimpl
from jackfield.services import is_on_this_machine
from jackfield_llm_openai.options import AzureOpenAIOptions

if TYPE_CHECKING:
    from jackfield_llm_openai.llm import ChatLLM

__all__ = ["AzureOpenAIOptions", "make_llm", "plugin_info"]


def _capabilities(options: AzureOpenAIOptions) -> Capabilities:
    return Capabilities(
        streaming=True,
        models=(options.deployment,),
        context_tokens=options.context_tokens,
        network=not is_on_this_machine(options.endpoint),
    )


@hookimpl
def plugin_info() -> PluginInfo:
    """Describe the plugin."""
    return PluginInfo(
        kind="llm",
        name="azure_openai",
        summary="Azure OpenAI: a deployment of a resource of your own.",
        options=AzureOpenAIOptions,
        extra="jackfield[openai]",
        capabilities=_capabilities,
    )


@hookimpl
def make_llm(options: AzureOpenAIOptions, site: Site) -> ChatLLM:
    """Build the model; its client is opened when it is entered."""
    from jackfield_llm_openai.client import azure_client
    from jackfield_llm_openai.llm import ChatLLM

    return ChatLLM(
        options,
        partial(azure_client, options),
        model=options.deployment,
        provider="azure_openai",
        max_tokens_field=options.max_tokens_field
        or ("max_tokens" if options.api_version else "max_completion_tokens"),
    )
