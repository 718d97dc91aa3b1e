"""A model whose figures are known: 30 tokens read and 12 written in each exchange.

What it does, the message says: `slow` takes 100 ms, `fail`, `time out` and `raise` fail, `bare` tells no
figures, `use TOOL` calls a tool with the message, `hold NAME` waits until there is a file NAME in the folder.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator

import anyio

from jackfield import Capabilities, PluginInfo, ProviderBadReply, ProviderTimedOut, Site, hookimpl
from jackfield.contracts.llm import Finish, GenerationRequest, LLMOutput, Message, ToolCall, Usage
from tests.contracts.plugins.trial_desk import Desk, TrialOptions

SECRET = "secret-123"
USAGE = Usage(30, 12)


class MeterLLM:
    """Says "You said: " and the message."""

    def __init__(self, options: TrialOptions) -> None:
        self._folder = options.folder
        self._desk = Desk(options, "llm")

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        last = request.messages[-1]
        self._desk.note(event="asked", messages=[(each.role, each.content) for each in request.messages])
        outcome = "closed"
        try:
            if last.role == "user" and last.content.startswith("use "):
                yield ToolCall("call-1", last.content.split()[1], json.dumps({"text": last.content}))
                yield Finish("tool_calls", Usage(10, 4), model="meter-1", provider="trial_meter")
                outcome = "answered"
                return
            await self._obey(last)
            yield "You said: "
            yield last.content
            outcome = "answered"
            yield self._end(request)
        finally:
            self._desk.note(event=outcome, message=last.content)

    async def _obey(self, message: Message) -> None:
        word, _, rest = message.content.partition(" ")
        match word if message.role == "user" else "":
            case "slow":
                await anyio.sleep(0.1)
            case "fail":
                raise ProviderBadReply(f"the provider said {SECRET}")
            case "time":
                raise ProviderTimedOut(f"no answer from {SECRET}")
            case "raise":
                raise Exception(SECRET)
            case "hold":
                while not (self._folder / rest).exists():
                    await anyio.sleep(0.01)

    def _end(self, request: GenerationRequest) -> Finish:
        last = request.messages[-1]
        usage = Usage(20, 8) if last.role == "tool" else None if last.content == "bare" else USAGE
        return Finish("stop", usage, model="meter-1", provider="trial_meter")


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="llm",
        name="trial_meter",
        summary="Repeats the user, with known figures.",
        options=TrialOptions,
        capabilities=lambda _options: Capabilities(streaming=True),
    )


@hookimpl
def make_llm(options: TrialOptions, site: Site) -> MeterLLM:
    return MeterLLM(options)
