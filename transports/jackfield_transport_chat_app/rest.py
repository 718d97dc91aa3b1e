"""The routes of a chat app for clients without a WebSocket."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import wraps
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from jackfield import ProtocolError, StoreUnavailable
from jackfield_transport_chat_app import events
from jackfield_transport_chat_app.chats import envelope, whole
from jackfield_transport_chat_app.connection import Services
from jackfield_transport_chat_app.exchange import Answered, Delta, Question
from jackfield_transport_chat_app.fields import (
    is_chat_id,
    no_such_chat,
    parse_generate,
    parse_page,
    parse_title,
    read_object,
)

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_NOT_STORED = {"Cache-Control": "no-store"}

Endpoint = Callable[[Request], Awaitable[Response]]


class RestRoutes:
    """What the routes do."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def counted(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint, with its errors among the figures."""

        @wraps(endpoint)
        async def answer(request: Request) -> Response:
            try:
                return await endpoint(request)
            except ClientDisconnect:
                raise
            except Exception:
                self._services.figures.error()
                raise

        return answer

    async def chats(self, request: Request) -> Response:
        """`GET /chats`."""
        owner = await self._owner(request)
        limit, cursor = parse_page(request.query_params, default=50, most=200)
        return _json(await self._services.chats.listed(owner, limit=limit, cursor=cursor))

    async def chat(self, request: Request) -> Response:
        """`GET /chat/{id}`."""
        owner = await self._owner(request)
        limit, cursor = parse_page(request.query_params, default=200, most=1000)
        chats, chat_id = self._services.chats, request.path_params["id"]
        chat = await chats.get(owner, chat_id)
        return _json(whole(chat, await chats.history(owner, chat_id, limit=limit, cursor=cursor)))

    async def create(self, request: Request) -> Response:
        """`POST /chat`."""
        owner = await self._owner(request)
        title = parse_title(await read_object(request, self._services.options.max_message_chars))
        chat = await self._services.chats.create(owner, title)
        self._services.figures.chat_created()
        headers = {"Location": f"{self._services.site.mount}/chat/{chat.id}"}
        return _json({**envelope(chat), "messages": []}, HTTPStatus.CREATED, headers)

    async def generate(self, request: Request) -> Response:
        """`POST /generate`."""
        received_s = time.perf_counter()
        services = self._services
        user = await services.admission.request(request)
        most = services.options.max_message_chars
        asked = parse_generate(await read_object(request, most), most)
        await services.admission.message(request, user, counted=True)
        if asked.chat_id is not None and not is_chat_id(asked.chat_id):  # what is unknown is found out later
            raise no_such_chat()
        question = Question(user, asked.text, received_s, asked.chat_id, asked.store)
        outputs = services.exchanges.answer(question)
        if asked.stream:
            return EventStream(outputs, services.figures.error)
        async with aclosing(outputs):
            (answered,) = [output async for output in outputs if isinstance(output, Answered)]
        chat = {} if answered.chat_id is None else {"chat_id": answered.chat_id}
        return _json({"message": answered.text, **chat, **events.figures(answered.measured)})

    async def stats(self, request: Request) -> Response:
        """`GET /stats`."""
        await self._services.admission.request(request)
        return _json(self._services.figures.stats())

    async def _owner(self, request: Request) -> str:
        user = await self._services.admission.request(request)
        return self._services.panel.sessions.owner(user)


class EventStream(Response):
    """Server-sent events, each a JSON object as on the WebSocket; an error before the first is plain."""

    media_type = "text/event-stream"

    def __init__(
        self, outputs: AsyncGenerator[Delta | Answered, None], count_error: Callable[[], None]
    ) -> None:
        super().__init__(headers={**_NOT_STORED, "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._outputs = outputs
        self._count_error = count_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False
        try:
            async with aclosing(self._outputs) as outputs:
                async for output in outputs:
                    if not started:
                        await self._start(send)
                        started = True
                    for event in _events(output):
                        await _send_data(send, json.dumps(event, separators=(",", ":")))
            await _send_data(send, "[DONE]")
        except Exception as error:
            self._count_error()
            if not started or not isinstance(error, ProtocolError | StoreUnavailable):
                raise
            told = error if isinstance(error, ProtocolError) else events.STORE_UNAVAILABLE
            await _send_data(send, json.dumps(events.error_event(told), separators=(",", ":")))
        await send({"type": "http.response.body", "body": b""})

    async def _start(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        await send(start)


def _events(output: Delta | Answered) -> list[events.Json]:
    if isinstance(output, Delta):
        return [events.delta(output.text, output.chat_id)]
    return [
        events.ai_response(output.text, output.chat_id),
        events.backend_status(output.measured, output.tokens_total, output.chat_id),
    ]


async def _send_data(send: Send, text: str) -> None:
    body = f"data: {text}\n\n".encode()
    await send({"type": "http.response.body", "body": body, "more_body": True})


def _json(body: Any, status: int = HTTPStatus.OK, headers: dict[str, str] | None = None) -> Response:
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(content, status, {**_NOT_STORED, **(headers or {})}, "application/json")
