"""A model that hides nothing it was told: it says the user's message, and every one before, and its part.

Whatever is mixed up among users then shows in its answers. A message with the word `slowly` is answered in
pieces that take their time.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final

import anyio

from jackfield import Capabilities, Options, PluginInfo, Site, hookimpl
from jackfield.contracts.llm import Finish, GenerationRequest, LLMOutput

_PIECES: Final = 20
_PAUSE_S: Final = 0.02


class WitnessLLM:
    """Tells its prompt."""

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        said = [message.content for message in request.messages if message.role == "user"]
        told = [message.content for message in request.messages if message.role == "system"]
        yield f"Heard: {said[-1]}\n"
        if "slowly" in said[-1]:
            for _ in range(_PIECES):
                await anyio.sleep(_PAUSE_S)
                yield "..."
        yield f"\nBefore: {' | '.join(said[:-1])}\nTold: {' | '.join(told)}"
        yield Finish("stop", model="trial", provider="trial")


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="llm",
        name="trial_witness",
        summary="Tells its whole prompt.",
        capabilities=lambda _options: Capabilities(streaming=True),
    )


@hookimpl
def make_llm(options: Options, site: Site) -> WitnessLLM:
    return WitnessLLM()
