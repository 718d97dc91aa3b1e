"""What a model, a recogniser and a voice of the service have in common: the client, and sending with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self

import anyio
import httpx2
import openai
from anyio import to_thread

from jackfield_openai_account.sdk import is_hang_up, sdk_errors

CLOSING_S: Final = 5.0
"""Longest wait for the service while a connection or an answer is closed."""


class Connected:
    """Base of what asks the service. An async context manager: entering opens the client.

    `connect` makes the client, in a thread: it reads certificates from disk.
    """

    def __init__(self, connect: Callable[[], openai.AsyncOpenAI]) -> None:
        self._connect = connect
        self._client: openai.AsyncOpenAI | None = None
        self._has_answered = False
        """Whether a request went well, so that its connection may have been kept."""

    async def __aenter__(self) -> Self:
        self._client = await to_thread.run_sync(self._connect)
        self._errors = sdk_errors()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        client, self._client = self._client, None
        if client is not None:
            with anyio.move_on_after(CLOSING_S, shield=True):
                await client.close()

    async def _send(self, post: Callable[[], Awaitable[httpx2.Response]]) -> httpx2.Response:
        try:
            return await post()
        except openai.APIConnectionError as error:
            if not (self._has_answered and is_hang_up(error)):
                raise
        # Servers close kept connections when they like, some after every answer: what was sent at that
        # moment is sent once more, on a new one.
        return await post()


async def post_streamed(client: openai.AsyncOpenAI, path: str, body: dict[str, object]) -> httpx2.Response:
    """Post a body as JSON; gives the answer when its head has come, its body still to be read."""
    streamed = True  # not the literal: with that the SDK promises its own stream, which is not asked for
    response = await client.post(path, cast_to=httpx2.Response, body=body, stream=streamed)
    assert isinstance(response, httpx2.Response)
    return response
