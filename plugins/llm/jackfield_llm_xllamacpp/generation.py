"""One generation: the thread that waits for llama.cpp, and the way of its outputs to the event loop."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from threading import Event
from typing import Any, Protocol

import anyio

from jackfield.contracts.llm import (
    Finish,
    FinishReason,
    GenerationRequest,
    LLMOutput,
    ToolCall,
    Usage,
)
from jackfield.errors import (
    ContextTooLong,
    ProviderBadReply,
    ProviderError,
    ProviderRefused,
    ProviderUnavailable,
)
from jackfield_llm_xllamacpp.slots import Place, Slots

Chunk = dict[str, Any]


class ChatServer(Protocol):
    """What is used of `xllamacpp.Server`."""

    def handle_completions(self, body: dict[str, Any], /) -> Chunk | None:
        """Complete a text or tokens and return the outcome."""
        ...

    def handle_chat_completions(
        self, body: dict[str, Any], on_chunk: Callable[[Chunk], bool], /
    ) -> Chunk | None:
        """Call `on_chunk` in this thread for every chunk, until it returns True."""
        ...


class Delivery:
    """What a generation has put out and nobody has taken yet; made on the event loop that takes it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._outputs: deque[LLMOutput | ProviderError] = deque()
        self._woken = anyio.Event()
        self._wake_is_due = False

    def put(self, output: LLMOutput | ProviderError) -> None:
        """Add an output, from the thread. Outputs that come before the loop has looked share one wake-up."""
        self._outputs.append(output)
        if not self._wake_is_due:
            self._wake_is_due = True
            try:
                self._loop.call_soon_threadsafe(self._wake)
            except RuntimeError:
                # The loop was closed under its generator: nobody is left to wake.
                return

    async def take(self) -> LLMOutput | ProviderError:
        """The next output, when there is one."""
        while not self._outputs:
            self._woken = anyio.Event()
            # Between the look above and the new event an output may have come.
            if not self._outputs:
                await self._woken.wait()
        return self._outputs.popleft()

    def _wake(self) -> None:
        self._wake_is_due = False
        self._woken.set()


class Generation:
    """Runs one request in a thread; `abandon` ends it from any other."""

    def __init__(self, request: GenerationRequest, body: dict[str, Any], model: str, closing: Event) -> None:
        self.delivery = Delivery()
        self._request = request
        self._body = body
        self._model = model
        self._closing = closing
        self._abandoned = False
        self._ending = Event()
        self._reason: str | None = None
        self._usage: Usage | None = None
        self._calls: dict[int, dict[str, str]] = {}
        self._failure: ProviderError | None = None

    def abandon(self) -> None:
        """End at the next step; nothing more is looked at."""
        self._abandoned = True
        self._ending.set()

    def run(self, server: ChatServer, slots: Slots) -> None:
        """Compute and deliver everything, the end or the failure last. Never raises."""
        if self._is_over():
            return
        place = slots.claim(self._request.conversation, self._request.messages, self._ending)
        was_stopped = False
        try:
            if self._is_over():
                return
            self._compute(server, slots, place)
            was_stopped = self._abandoned
            self._ending.set()
            if not self._is_over():
                self._deliver_end()
        finally:
            slots.release(place, was_stopped=was_stopped)

    def _compute(self, server: ChatServer, slots: Slots, place: Place) -> None:
        def on_chunk(chunk: Chunk) -> bool:
            if not place.slot.has_begun:
                slots.begin(place)
            return self._on_chunk(chunk)

        if place.pinned:
            self._body["id_slot"] = place.slot.index
        if not place.own:
            self._body["n_cache_reuse"] = 0  # what other conversations left is computed with their words
        try:
            reply = server.handle_chat_completions(self._body, on_chunk)
        except ValueError:
            # The library's texts may quote the prompt, so they are not passed on.
            self._failure = ProviderRefused(
                "llama.cpp does not accept the messages or settings of the request."
            )
        except RuntimeError:
            self._failure = ProviderUnavailable("llama.cpp failed while it worked on a request.")
        else:
            if reply and "error" in reply:
                slots.begin(place)
                self._failure = _as_provider_error(reply["error"])

    def _is_over(self) -> bool:
        if self._closing.is_set():
            self._failure = ProviderUnavailable("The model was closed.")
            self.delivery.put(self._failure)
            return True
        return self._abandoned

    def _on_chunk(self, chunk: Chunk) -> bool:
        if self._abandoned or self._closing.is_set():
            return True
        try:
            self._read(chunk)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            # The library drops what a callback raises; without this the answer would just end.
            self._failure = ProviderBadReply(
                f"llama.cpp sent a chunk of an unknown shape: {type(error).__name__}."
            )
        return self._failure is not None

    def _read(self, chunk: Chunk) -> None:
        if "error" in chunk:
            self._failure = _as_provider_error(chunk["error"])
            return
        for choice in chunk["choices"]:
            delta = choice["delta"]
            if text := delta.get("content"):
                self.delivery.put(text)
            for part in delta.get("tool_calls") or ():
                self._add_to_call(part)
            self._reason = choice["finish_reason"] or self._reason
        if usage := chunk.get("usage"):
            cached = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
            self._usage = Usage(usage["prompt_tokens"], usage["completion_tokens"], cached)

    def _add_to_call(self, part: dict[str, Any]) -> None:
        call = self._calls.setdefault(part.get("index", 0), {"id": "", "name": "", "arguments": ""})
        function = part.get("function", {})
        call["id"] = part.get("id") or call["id"]
        call["name"] += function.get("name") or ""
        call["arguments"] += function.get("arguments") or ""

    def _deliver_end(self) -> None:
        put = self.delivery.put
        if self._failure is not None:
            put(self._failure)
        elif self._reason is None:
            put(ProviderUnavailable("llama.cpp ended an answer without saying why."))
        else:
            calls = [_tool_call(index, call) for index, call in sorted(self._calls.items())]
            for call in calls:
                # A call that `max_tokens` cut short is no call.
                if call is not None:
                    put(call)
            reason: FinishReason = "length" if self._reason == "length" else "stop"
            if reason == "stop" and any(calls):
                reason = "tool_calls"
            put(Finish(reason, self._usage, self._model, "xllamacpp"))


def _tool_call(index: int, call: dict[str, str]) -> ToolCall | None:
    arguments = call["arguments"] or "{}"
    try:
        whole = isinstance(json.loads(arguments), dict)
    except ValueError:
        whole = False
    return (
        ToolCall(call["id"] or f"call_{index}", call["name"], arguments) if whole and call["name"] else None
    )


def _as_provider_error(error: Any) -> ProviderError:
    code, kind = (error.get("code"), error.get("type")) if isinstance(error, dict) else (None, None)
    if kind == "exceed_context_size_error":
        return ContextTooLong(
            f"The prompt has {error.get('n_prompt_tokens')} tokens, the context {error.get('n_ctx')}; "
            "shorten the history or raise context_tokens."
        )
    if code == 400:
        return ProviderRefused(f"llama.cpp refused the request ({kind}).")
    return ProviderUnavailable(f"llama.cpp failed with code {code} ({kind}).")
