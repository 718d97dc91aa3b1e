"""Echo: a language model that says the user's last message back, word by word.

For demonstrations, tests and measurements: it needs no model and no network, and its answer is known
beforehand. It counts words where others count tokens. With the option `tool` it first calls that tool
with `{"text": <the message>}`, provided the request offers it, and then says what the tool answered.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator
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

_PIECE: Final = re.compile(r"\s*\S+\s*")

_PIECES_PER_STEP: Final = 64
"""Pieces between two chances for others to run.

A generator that never awaits holds the event loop from the first word to the last: nobody else is served
and no cancellation arrives. One turn of the loop in 64 pieces costs well under a microsecond a piece.
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
        prompt_words = sum(len(message.content.split()) for message in request.messages)
        if self._tool is not None and _wants(request, self._tool):
            arguments = json.dumps({"text": _said(request)}, ensure_ascii=False)
            yield ToolCall(f"echo-{len(request.messages)}", self._tool, arguments)
            yield _finish("tool_calls", Usage(prompt_words, 0))
            return
        pieces, reason = self._pieces(request)
        if self._delay_s:
            for piece in pieces:
                await anyio.sleep(self._delay_s)
                yield piece
        else:
            for start in range(0, len(pieces), _PIECES_PER_STEP):
                await anyio.lowlevel.checkpoint()
                for piece in pieces[start : start + _PIECES_PER_STEP]:
                    yield piece
        yield _finish(reason, Usage(prompt_words, len(pieces)))

    def _pieces(self, request: GenerationRequest) -> tuple[list[str], FinishReason]:
        text = self._prefix + _answer(request)
        ends = [at for stop in request.stop if stop and (at := text.find(stop)) >= 0]
        pieces = _PIECE.findall(text[: min(ends)] if ends else text)
        if request.max_tokens is not None and len(pieces) > request.max_tokens:
            return pieces[: request.max_tokens], "length"
        return pieces, "stop"

    def count_tokens(self, text: str) -> int:
        return len(text.split())


def _wants(request: GenerationRequest, tool: str) -> bool:
    asked = bool(request.messages) and request.messages[-1].role != "tool"
    return asked and any(spec.name == tool for spec in request.tools)


def _answer(request: GenerationRequest) -> str:
    last = request.messages[-1] if request.messages else Message("user", "")
    return last.content if last.role == "tool" else _said(request)


def _said(request: GenerationRequest) -> str:
    return next((message.content for message in reversed(request.messages) if message.role == "user"), "")


def _finish(reason: FinishReason, usage: Usage) -> Finish:
    return Finish(reason, usage, model="echo", provider="echo")


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
