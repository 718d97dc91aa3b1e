"""Chat completions: sends a request through the SDK, and reads the answer from its raw stream.

The SDK makes an object of every token, which costs several times what parsing it does. So the SDK does
the connecting, the authentication and the errors, and the body is read here.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from types import TracebackType
from typing import Final, Self

import anyio
import httpx2
import openai
from anyio import to_thread

from jackfield.contracts.llm import GenerationRequest, LLMOutput, Message
from jackfield.errors import ProviderBadReply, ProviderUnavailable
from jackfield_llm_openai.answer import Answer
from jackfield_llm_openai.body import chat_body
from jackfield_llm_openai.events import EventReader
from jackfield_llm_openai.options import ChatOptions, MaxTokensField
from jackfield_openai_account.sdk import is_hang_up, provider_error, sdk_errors

_DRAIN_S: Final = 0.1
"""Longest wait for the end of a body whose last event has come; then the connection is not used again."""
_CLOSING_S: Final = 5.0
_MAX_BODY_BYTES: Final = 4 * 1024 * 1024


class ChatLLM:
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
        self._options = options
        self._connect = connect
        self._model = model
        self._provider = provider
        self._max_tokens_field = max_tokens_field
        self._client: openai.AsyncOpenAI | None = None
        self._has_answered = False

    async def __aenter__(self) -> Self:
        self._client = await to_thread.run_sync(self._connect)
        self._errors = sdk_errors()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        client, self._client = self._client, None
        if client is not None:
            with anyio.move_on_after(_CLOSING_S, shield=True):
                await client.close()

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        """See `jackfield.contracts.llm.LLM.generate`."""
        if self._client is None:
            raise RuntimeError("the client is not open: generate only inside `async with`")
        body = chat_body(request, self._options, self._model, self._max_tokens_field)
        answer = Answer(self._model, self._provider)
        try:
            response = await self._send(self._client, body)
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

    async def _send(self, client: openai.AsyncOpenAI, body: dict[str, object]) -> httpx2.Response:
        try:
            return await self._post(client, body)
        except openai.APIConnectionError as error:
            if not (self._has_answered and is_hang_up(error)):
                raise
        # Servers close kept connections when they like, some after every answer: what was sent at that
        # moment is sent once more, on a new one.
        return await self._post(client, body)

    async def _post(self, client: openai.AsyncOpenAI, body: dict[str, object]) -> httpx2.Response:
        streamed = True  # not the literal: with that the SDK promises its own stream, which is not asked for
        response = await client.post("/chat/completions", cast_to=httpx2.Response, body=body, stream=streamed)
        assert isinstance(response, httpx2.Response)
        return response


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
        with anyio.move_on_after(_CLOSING_S, shield=True):
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
