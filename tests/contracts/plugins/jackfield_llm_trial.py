"""A model that repeats the user, notes every prompt, and fails in every way there is when it is told to."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator

import anyio

from jackfield import (
    Capabilities,
    PluginInfo,
    ProviderBadReply,
    ProviderTimedOut,
    Site,
    hookimpl,
)
from jackfield.contracts.llm import Finish, GenerationRequest, LLMOutput
from tests.contracts.plugins.trial_desk import Desk, TrialOptions

SECRET = "secret-123"
BLOCK_S = 2.0


class TrialLLM:
    """Says "You said: " and the message."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        messages = [(message.role, message.content) for message in request.messages]
        self._desk.note(event="asked", messages=messages)
        outcome = "closed"
        try:
            await self._obey(self._desk.mode)
            yield "You said: "
            if self._desk.mode == "break":
                raise ProviderBadReply(f"half an answer, {SECRET}")
            yield request.messages[-1].content
            outcome = "answered"
            yield Finish("stop", model="trial", provider="trial")
        finally:
            self._desk.note(event=outcome)

    async def _obey(self, mode: str) -> None:
        match mode:
            case "raise":
                raise Exception(SECRET)
            case "fail":
                raise ProviderBadReply(f"the provider said {SECRET}")
            case "time out":
                raise ProviderTimedOut(f"no answer from {SECRET}")
            case "hang":
                await anyio.sleep_forever()
            case "block":
                await anyio.to_thread.run_sync(time.sleep, BLOCK_S)
        while self._desk.mode == "hold":
            await anyio.sleep(0.01)


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="llm",
        name="trial",
        summary="Repeats the user, or fails.",
        options=TrialOptions,
        capabilities=lambda _options: Capabilities(streaming=True),
    )


@hookimpl
def make_llm(options: TrialOptions, site: Site) -> TrialLLM:
    return TrialLLM(Desk(options, "llm"))
