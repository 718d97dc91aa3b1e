"""From a request to the JSON body of a streamed chat completion."""

from __future__ import annotations

from typing import Any

from jackfield.contracts.llm import GenerationRequest, Message, ToolCall, ToolSpec
from jackfield_llm_openai.options import ChatOptions, MaxTokensField


def chat_body(
    request: GenerationRequest, options: ChatOptions, model: str, max_tokens_field: MaxTokensField
) -> dict[str, object]:
    """The body, with the options where the request does not say."""
    body: dict[str, object] = {
        "model": model,
        "messages": [_message(message) for message in request.messages],
        "stream": True,
    }
    if options.send_usage:
        body["stream_options"] = {"include_usage": True}
    temperature = options.temperature if request.temperature is None else request.temperature
    if temperature is not None:
        body["temperature"] = temperature
    max_tokens = options.max_tokens if request.max_tokens is None else request.max_tokens
    if max_tokens is not None:
        body[max_tokens_field] = max_tokens
    if request.stop:
        body["stop"] = [_sendable(text) for text in request.stop]
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if options.user_field is not None and request.user is not None:
        body[options.user_field] = request.user
    return body | options.extra_body


def _message(message: Message) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role, "content": _sendable(message.content)}
    if message.tool_calls:
        written["content"] = written["content"] or None
        written["tool_calls"] = [_call(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        written["tool_call_id"] = message.tool_call_id
    return written


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": _sendable(call.arguments)}
    return {"id": call.id, "type": "function", "function": function}


def _tool(tool: ToolSpec) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def _sendable(text: str) -> str:
    """The text without lone surrogates, which are not UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
