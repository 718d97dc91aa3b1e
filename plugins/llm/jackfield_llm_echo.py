"""Echo: a language model that says the user's last message back, word by word.

For demonstrations, tests and measurements: it needs no model and no network, and its answer is known
beforehand. It counts words where others count tokens. With the option `tool` it first calls that tool
with `{"text": <the message>}`, provided the request offers it, and then says what the tool answered.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Iterator
from functools import lru_cache
from typing import Final

import anyio
import anyio.lowlevel
from pydantic import Field

from jackfield import Capabilities, Options, PluginInfo, Site, hookimpl
from jackfield.contracts.llm import (
    Finish,
    FinishReason,
    GenerationRequest,
    LLMOutput,
    Message,
    ToolCall,
    Usage,
)

_WORD: Final = re.compile(r"\s*\S+\s*")

_WORDS_PER_STEP: Final = 64
"""Words between two chances for others to run.

A generator that never awaits holds the event loop from the first word to the last: nobody else is served
and no cancellation arrives. One turn of the loop in 64 words costs well under a microsecond a word.
"""


class EchoOptions(Options):
    """How the echo sounds."""

    delay_s: float = Field(0.0, ge=0, description="Seconds to wait before each word.")
    prefix: str = Field("", description="Text said before the echo, such as 'You said: '.")
    tool: str | None = Field(
        None, description="Name of a tool to call with the message first; its result is then the answer."
    )


class EchoLLM:
    """Answers with the words it was given."""

    def __init__(self, options: EchoOptions) -> None:
        self._delay_s = options.delay_s
        self._prefix = options.prefix
        self._tool = options.tool

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        if self._tool is not None and _wants(request, self._tool):
            arguments = json.dumps({"text": _said(request)}, ensure_ascii=False)
            yield ToolCall(f"echo-{len(request.messages)}", self._tool, arguments)
            yield _finish("tool_calls", request, 0)
            return
        reason: FinishReason = "stop"
        said, most, delay_s = 0, request.max_tokens, self._delay_s
        for step in _steps(self._text(request)):
            words = step if most is None else step[: most - said]
            for word in words:
                if delay_s:
                    await anyio.sleep(delay_s)
                yield word
            said += len(words)
            if len(words) < len(step):
                reason = "length"
                break
            await anyio.lowlevel.checkpoint()
        yield _finish(reason, request, said)

    def _text(self, request: GenerationRequest) -> str:
        text = self._prefix + _answer(request)
        ends = [at for stop in request.stop if stop and (at := text.find(stop)) >= 0]
        return text[: min(ends)] if ends else text

    def count_tokens(self, text: str) -> int:
        return _count(text)


def _wants(request: GenerationRequest, tool: str) -> bool:
    asked = bool(request.messages) and request.messages[-1].role != "tool"
    return asked and any(spec.name == tool for spec in request.tools)


def _answer(request: GenerationRequest) -> str:
    last = request.messages[-1] if request.messages else Message("user", "")
    return last.content if last.role == "tool" else _said(request)


def _said(request: GenerationRequest) -> str:
    return next((message.content for message in reversed(request.messages) if message.role == "user"), "")


def _steps(text: str) -> Iterator[list[str]]:
    """Give the words of a text, some at a time: the first alone, for it need not wait for the others."""
    first = _WORD.match(text)
    if first is None:
        return
    yield [first[0]]
    others = _WORD.findall(text, first.end())
    for start in range(0, len(others), _WORDS_PER_STEP):
        yield others[start : start + _WORDS_PER_STEP]


@lru_cache(256)  # what was said comes again with every turn
def _count(text: str) -> int:
    return len(text.split())


def _finish(reason: FinishReason, request: GenerationRequest, said_words: int) -> Finish:
    prompt_words = sum(_count(message.content) for message in request.messages)
    return Finish(reason, Usage(prompt_words, said_words), model="echo", provider="echo")


def _capabilities(_options: EchoOptions) -> Capabilities:
    return Capabilities(streaming=True)


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="llm",
        name="echo",
        summary="Says the user's message back, word by word; needs no model.",
        options=EchoOptions,
        capabilities=_capabilities,
    )


@hookimpl
def make_llm(options: EchoOptions, site: Site) -> EchoLLM:
    return EchoLLM(options)
