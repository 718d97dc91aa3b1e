"""The answer as it comes: from chunks of JSON to text, tool calls and the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from jiter import from_json

from jackfield.contracts.llm import Finish, FinishReason, LLMOutput, ToolCall, Usage
from jackfield.errors import ContentFiltered, ProviderBadReply, ProviderUnavailable
from jackfield.services import error_in_answer

_REASONS: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


@dataclass(slots=True)
class _Call:
    """A tool call of which more may come."""

    index: int
    id: str
    name: str = ""
    arguments: str = ""


class Answer:
    """Reads the chunks of one answer, and knows what they add up to."""

    def __init__(self, model: str, provider: str) -> None:
        self._model = model
        self._provider = provider
        self._reason: str | None = None
        self._usage: Usage | None = None
        self._calls: list[_Call] = []
        self._has_text = False
        self.is_over = False
        """Whether the service said that nothing more comes."""

    @property
    def is_complete(self) -> bool:
        """Whether the model has said all, though the count of tokens may still come."""
        return self._reason is not None or self.is_over

    def read(self, data: bytes) -> str:
        """Take the data of an event; gives the text in it, possibly empty.

        :raises ProviderError: when it is no chunk, or an error of the service.
        """
        try:
            chunk = from_json(data)
        except ValueError:
            if data.strip() == b"[DONE]":
                self.is_over = True
                return ""
            raise ProviderBadReply("The service sent something that is not JSON.") from None
        try:
            text = self._read(chunk)
        except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
            raise ProviderBadReply(
                f"The service sent a chunk of an unknown shape ({type(error).__name__})."
            ) from None
        if text:
            self._has_text = True
        return text

    def end(self) -> Iterator[LLMOutput]:
        """Give the tool calls and the end.

        :raises ProviderError: when the answer was cut short or filtered away, or a call is none.
        """
        if not self.is_complete:
            raise ProviderUnavailable("The service ended its answer in the middle.")
        reason = _REASONS.get(self._reason or "stop", "stop")
        if reason == "content_filter" and not self._has_text:
            raise ContentFiltered("The service's content filter stopped the answer before its first word.")
        if reason != "length":  # it would have cut the last call short
            for call in self._calls:
                yield _whole(call)
            if self._calls and reason == "stop":
                reason = "tool_calls"
        yield Finish(reason, self._usage, self._model, self._provider)

    def _read(self, chunk: Any) -> str:
        text = ""
        for choice in chunk.get("choices") or ():
            # A server that does not stream answers with one whole message of the same shape.
            delta = choice.get("delta") or choice.get("message") or {}
            if piece := delta.get("content") or delta.get("refusal"):
                text += piece
            if parts := delta.get("tool_calls"):
                for part in parts:
                    self._add_to_call(part)
            if reason := choice.get("finish_reason"):
                self._reason = str(reason)
        if usage := chunk.get("usage"):
            self._usage = _usage(usage)
        if error := chunk.get("error"):
            raise error_in_answer(error)
        return text

    def _add_to_call(self, part: Any) -> None:
        index, call_id = part.get("index") or 0, part.get("id") or ""
        call = next((call for call in reversed(self._calls) if call.index == index), None)
        # Some servers number all calls of an answer 0; their ids tell them apart.
        if call is None or (call_id and call.id and call_id != call.id):
            call = _Call(index, call_id)
            self._calls.append(call)
        function = part.get("function") or {}
        call.id = call.id or call_id
        call.name += function.get("name") or ""
        call.arguments += function.get("arguments") or ""


def _whole(call: _Call) -> ToolCall:
    arguments = call.arguments or "{}"
    try:
        is_object = isinstance(json.loads(arguments), dict)
    except ValueError:
        is_object = False
    if not (is_object and call.name):
        raise ProviderBadReply("The model called a tool with arguments that are no JSON object.")
    return ToolCall(call.id or f"call_{call.index}", call.name, arguments)


def _usage(usage: Any) -> Usage:
    details = usage.get("prompt_tokens_details") or {}
    return Usage(
        int(usage.get("prompt_tokens") or 0),
        int(usage.get("completion_tokens") or 0),
        int(details.get("cached_tokens") or 0),
    )
