"""From a request to the JSON body that llama.cpp's server takes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from jackfield.contracts.llm import GenerationRequest, Message, ToolCall, ToolSpec
from jackfield_llm_xllamacpp.options import XllamacppOptions

_WORD_JOINER: Final = "\u2060"
"""Has no width and no meaning, and keeps the two halves of a control token apart."""


class PromptWriter:
    """Writes request bodies for one model."""

    def __init__(self, options: XllamacppOptions, control_tokens: Sequence[str]) -> None:
        self._options = options
        longest_first = sorted(control_tokens, key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def body(self, request: GenerationRequest) -> dict[str, Any]:
        """The body of a streaming chat completion."""
        options = self._options
        body: dict[str, Any] = {
            "messages": [self._message(message) for message in request.messages],
            "stream": True,
            "stream_options": {"include_usage": True},
            # A chunk for each step of reading the prompt: the only moments at which it can be cancelled.
            "return_progress": True,
            "cache_prompt": True,
            "n_cache_reuse": options.moved_tokens,
            "temperature": options.temperature if request.temperature is None else request.temperature,
            "top_p": options.top_p,
            "max_tokens": options.max_tokens if request.max_tokens is None else request.max_tokens,
        }
        if options.seed is not None:
            body["seed"] = options.seed
        if request.stop:
            body["stop"] = list(request.stop)
        if request.tools:
            body["tools"] = [_tool(tool) for tool in request.tools]
        return body

    def harmless(self, text: str) -> str:
        """The text with every control token broken, and without lone surrogates, which are not UTF-8."""
        text = text.encode("utf-8", "replace").decode()
        return self._control.sub(lambda found: found[0][0] + _WORD_JOINER + found[0][1:], text)

    def _message(self, message: Message) -> dict[str, Any]:
        written: dict[str, Any] = {"role": message.role, "content": self.harmless(message.content)}
        if message.tool_calls:
            written["tool_calls"] = [self._call(call) for call in message.tool_calls]
        if message.tool_call_id is not None:
            written["tool_call_id"] = message.tool_call_id
        return written

    def _call(self, call: ToolCall) -> dict[str, Any]:
        function = {"name": call.name, "arguments": self.harmless(call.arguments)}
        return {"id": call.id, "type": "function", "function": function}


def _tool(tool: ToolSpec) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}
