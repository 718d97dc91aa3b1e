"""Reverse: a language model that answers with the user's last message backwards.

It needs no service. It reads right to left, so palindromes are its best answers.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

import anyio
from jackfield import Capabilities, Options, PluginInfo, ProviderRefused, Site, hookimpl
from jackfield.contracts.llm import Finish, GenerationRequest, LLMOutput
from pydantic import Field


class ReverseOptions(Options):
    """What an operator may set under `[llm.options]`."""

    pause_s: float = Field(default=0.0, ge=0, description="Seconds to think before each word.")


class ReverseLLM:
    """Answers backwards, word by word."""

    def __init__(self, options: ReverseOptions) -> None:
        self._pause_s = options.pause_s

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        if not request.messages:
            raise ProviderRefused("There is no message to turn round. Send at least one.")
        text = request.messages[-1].content[::-1]
        ends = [text.find(stop) for stop in request.stop if stop in text]
        words = text[: min(ends, default=len(text))].split()
        for word in words[: request.max_tokens]:
            await anyio.sleep(self._pause_s)  # others run meanwhile, and here a cancellation arrives
            yield f"{word} "
        cut = request.max_tokens is not None and len(words) > request.max_tokens
        yield Finish("length" if cut else "stop", provider="reverse")


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="llm",
        name="reverse",
        summary="Answers with the message backwards.",
        options=ReverseOptions,
        capabilities=lambda options: Capabilities(streaming=True),
    )


@hookimpl
def make_llm(options: ReverseOptions, site: Site) -> ReverseLLM:
    return ReverseLLM(options)
