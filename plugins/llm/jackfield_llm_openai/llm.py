"""Chat completions: sends a request through the SDK, and reads the answer from its raw stream.

The SDK makes an object of every token, which costs several times what parsing it does. So the SDK does
the connecting, the authentication and the errors, and the body is read here.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from functools import partial
from typing import Final

import anyio
import httpx2
import openai

from jackfield.contracts.llm import GenerationRequest, LLMOutput, Message
from jackfield.errors import ProviderBadReply, ProviderUnavailable
from jackfield_llm_openai.answer import Answer
from jackfield_llm_openai.body import chat_body
from jackfield_llm_openai.events import EventReader
from jackfield_llm_openai.options import ChatOptions, MaxTokensField
from jackfield_openai_account.connected import CLOSING_S, Connected, post_streamed
from jackfield_openai_account.sdk import provider_error

_DRAIN_S: Final = 0.1
"""Longest wait for the end of a body whose last event has come; then the connection is not used again."""
_MAX_BODY_BYTES: Final = 4 * 1024 * 1024


class ChatLLM(Connected):
    """A model behind the chat completions of OpenAI, Azure OpenAI or a compatible server."""

    def __init__(
        self,
        options: ChatOptions,
        connect: Callable[[], openai.AsyncOpenAI],
        *,
        model: str,
        provider: str,
        max_tokens_field: MaxTokensField,
    ) -> None:
        super().__init__(connect)
        self._options = options
        self._model = model
        self._provider = provider
        self._max_tokens_field = max_tokens_field

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        """See `jackfield.contracts.llm.LLM.generate`."""
        if self._client is None:
            raise RuntimeError("the client is not open: generate only inside `async with`")
        body = chat_body(request, self._options, self._model, self._max_tokens_field)
        answer = Answer(self._model, self._provider)
        try:
            response = await self._send(partial(post_streamed, self._client, "/chat/completions", body))
            async with aclosing(_texts(response, answer)) as texts:
                async for text in texts:
                    yield text
        except self._errors as error:
            if not answer.is_complete:
                raise provider_error(error) from None
        except RuntimeError:  # from aiohttp, whose client was closed under its answer
            if self._client is not None:
                raise
            raise ProviderUnavailable("The model was closed.") from None
        self._has_answered = True
        for output in answer.end():
            yield output

    async def probe(self) -> None:
        """See `jackfield.contracts.failover.Probed.probe`: asks for one token."""
        request = GenerationRequest((Message("user", "Hi"),), max_tokens=1)
        async with aclosing(self.generate(request)) as outputs:
            async for _output in outputs:
                pass


async def _texts(response: httpx2.Response, answer: Answer) -> AsyncGenerator[str, None]:
    """Let `answer` read the body, and give the texts in it."""
    try:
        portions = response.aiter_bytes()
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            yield answer.read(await _whole(portions))  # a server that does not stream
            return
        events = EventReader()
        async with aclosing(portions):
            async for portion in portions:
                for data in events.feed(portion):
                    if text := answer.read(data):
                        yield text
                if answer.is_over:
                    await _drain(portions)
                    return
    finally:
        with anyio.move_on_after(CLOSING_S, shield=True):
            await response.aclose()


async def _drain(portions: AsyncIterator[bytes]) -> None:
    """Read to the end of the body, so that the connection can be used again."""
    with anyio.move_on_after(_DRAIN_S):
        async for _portion in portions:
            pass


async def _whole(portions: AsyncIterator[bytes]) -> bytes:
    body = b""
    async for portion in portions:
        body += portion
        if len(body) > _MAX_BODY_BYTES:
            raise ProviderBadReply(f"The service sent more than {_MAX_BODY_BYTES} bytes at once.")
    return body
