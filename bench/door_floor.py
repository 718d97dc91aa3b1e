"""The floor of the doors: the least that answers each contract's messages when it is written by hand.

Tokens, checks of the fields that are used, the last messages of each conversation in memory, ids and times:
what a client sees is the same as behind Jackfield's door. What a client does not see is left out: limits,
order, errors other than the plainest, figures, stores.

    python -m bench.door_floor PORT UPSTREAM_PORT WAY_OF_WEBSOCKETS TOKEN...
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from uuid import uuid4

import aiohttp
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

_REMEMBERED: Final = 20
_FIELDS: Final = ("message", "type", "sessionId", "userId", "username")

Json = dict[str, Any]

USERS: dict[str, str] = {}
"""Tokens, and whose they are."""
SESSIONS: defaultdict[tuple[str, str], deque[str]] = defaultdict(partial(deque, maxlen=10))
CONVERSATIONS: defaultdict[str, dict[str, deque[Json]]] = defaultdict(dict)
"""Of each user: the newest messages of each conversation."""

_encoded: Final = json.JSONEncoder(separators=(",", ":")).encode


async def echo(text: str) -> AsyncGenerator[str, None]:
    """Give the words of a text, each with the space before it."""
    for number, word in enumerate(text.split(" ")):
        yield f" {word}" if number else word


async def answer_of(text: str) -> str:
    """Give the whole answer."""
    return "".join([piece async for piece in echo(text)]).strip()


def user_of(connection: HTTPConnection) -> str:
    """Say who asks."""
    user = USERS.get(connection.headers.get("authorization", "").removeprefix("Bearer "))
    if user is None:
        raise HTTPException(401)
    return user


def begin(user: str) -> str:
    """Begin a conversation."""
    conversation = str(uuid4())
    CONVERSATIONS[user][conversation] = deque(maxlen=_REMEMBERED)
    return conversation


def record(user: str, conversation: str, role: str, text: str) -> Json:
    """Keep a message."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    kept = {"id": str(uuid4()), "role": role, "content": text, "created_at": at}
    CONVERSATIONS[user][conversation].append(kept)
    return kept


def checked(text: object) -> str:
    """Give a message that is one."""
    if not isinstance(text, str) or not text.strip() or len(text) > 16_000:
        raise HTTPException(422)
    return text.strip()


async def form_of(request: Request) -> dict[str, str]:
    """Read a message that was posted as a form."""
    async with request.form() as sent:
        fields = {name: sent.get(name) for name in _FIELDS}
    texts = {name: text.strip() for name, text in fields.items() if isinstance(text, str) and text.strip()}
    if len(texts) < len(_FIELDS) or len(texts["message"]) > 4096:
        raise HTTPException(422)
    return texts


async def relay_chat(request: Request) -> Response:
    """Answer a form."""
    form = await form_of(request)
    answer = await answer_of(form["message"])
    SESSIONS[form["userId"], form["sessionId"]] += (form["message"], answer)
    return JSONResponse({"message": answer, "type": "text"})


async def health(_request: Request) -> Response:
    """Be there."""
    return JSONResponse({"status": "healthy"})


class Proxy:
    """Passes forms on to another server."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/relay/chat"
        self._client: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """Hold the connections."""
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as self._client:
            yield

    async def _forward(self, form: Mapping[str, str]) -> Json:
        assert self._client is not None
        async with self._client.post(self._url, data=form) as response:
            found: Json = await response.json()
            return found

    async def posted(self, request: Request) -> Response:
        """Answer a form."""
        return JSONResponse(await self._forward(await form_of(request)))

    async def socket(self, socket: WebSocket) -> None:
        """Answer frames."""
        await socket.accept()
        user = socket.path_params["user_id"]
        try:
            while True:
                frame = json.loads(await socket.receive_text())
                session = frame.get("sessionId", f"ws-{user}")
                form = {"type": "text", "userId": user, "username": user, "sessionId": session}
                answer = await self._forward(form | {"message": checked(frame["message"])})
                told = {**answer, "sessionId": session, "id": frame.get("id")}
                await socket.send_text(_encoded(told))
        except WebSocketDisconnect:
            return


async def new_chat(request: Request) -> Response:
    """Begin a chat."""
    return JSONResponse({"id": begin(user_of(request))}, 201)


async def generate(request: Request) -> Response:
    """Answer a message of a chat, at once or in pieces."""
    began_s = time.perf_counter()
    user, body = user_of(request), await request.json()
    text, chat = checked(body.get("message")), body.get("chat_id")
    if chat not in CONVERSATIONS[user]:
        raise HTTPException(404)
    if body.get("stream"):
        return StreamingResponse(_events(user, chat, text, began_s), media_type="text/event-stream")
    answer = await answer_of(text)
    record(user, chat, "user", text)
    record(user, chat, "assistant", answer)
    return JSONResponse({"message": answer, "chat_id": chat, **figures(text, answer, began_s)})


async def _events(user: str, chat: str, text: str, began_s: float) -> AsyncGenerator[str, None]:
    pieces = []
    async for piece in echo(text):
        pieces.append(piece)
        yield f"data: {_encoded({'event': 'ai_response_delta', 'delta': piece, 'chat_id': chat})}\n\n"
    answer = "".join(pieces).strip()
    record(user, chat, "user", text)
    record(user, chat, "assistant", answer)
    yield f"data: {_encoded({'event': 'ai_response', 'message': answer, 'chat_id': chat})}\n\n"
    told = {"event": "backend_status", **figures(text, answer, began_s), "chat_id": chat}
    yield f"data: {_encoded(told)}\n\n"
    yield "data: [DONE]\n\n"


def figures(text: str, answer: str, began_s: float) -> Json:
    """Tell what an exchange took."""
    prompt, completion = len(text.split()), len(answer.split())
    latency_ms = round((time.perf_counter() - began_s) * 1000)
    return {
        "tokens_used": prompt + completion,
        "latency": f"{latency_ms}ms",
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "latency_ms": latency_ms,
    }


async def chat_socket(socket: WebSocket) -> None:
    """Answer frames of a chat page."""
    user = user_of(socket)
    await socket.accept()
    chat = begin(user)
    try:
        while True:
            frame = json.loads(await socket.receive_text())
            began_s = time.perf_counter()
            text = checked(frame["message"])
            pieces = []
            async for piece in echo(text):
                pieces.append(piece)
                if frame.get("stream"):
                    told: Json = {"event": "ai_response_delta", "delta": piece, "chat_id": chat}
                    await socket.send_text(_encoded(told))
            answer = "".join(pieces).strip()
            new = [record(user, chat, "user", text), record(user, chat, "assistant", answer)]
            told = {"event": "ai_response", "message": answer, "chat_id": chat}
            await socket.send_text(_encoded(told))
            told = {"event": "backend_status", **figures(text, answer, began_s), "chat_id": chat}
            await socket.send_text(_encoded(told))
            told = {"event": "chat_history", "chat_id": chat, "append": True, "messages": new}
            await socket.send_text(_encoded(told))
    except WebSocketDisconnect:
        return


async def new_conversation(request: Request) -> Response:
    """Begin a conversation."""
    return JSONResponse({"conversation": {"id": begin(user_of(request))}}, 201)


async def send(request: Request) -> Response:
    """Answer a message of a conversation."""
    user, conversation = user_of(request), request.path_params["id"]
    text = checked((await request.json()).get("content"))
    if conversation not in CONVERSATIONS[user]:
        raise HTTPException(404)
    asked = record(user, conversation, "user", text)
    answered = record(user, conversation, "assistant", await answer_of(text))
    own = {"conversation_id": conversation, "is_audio": False}
    return JSONResponse({"message": asked | own, "reply": answered | own}, 201)


async def pichat_socket(socket: WebSocket) -> None:
    """Answer frames of a page or a device."""
    user = user_of(socket)
    await socket.accept()
    try:
        while True:
            frame = json.loads(await socket.receive_text())
            payload = frame["payload"]
            text, conversation = checked(payload["content"]), payload["conversation_id"]
            own = {"conversation_id": conversation, "is_audio": False}
            asked = {"message": record(user, conversation, "user", text) | own}
            await socket.send_text(_encoded({"action": "message_created", "payload": asked}))
            pieces = []
            async for piece in echo(text):
                pieces.append(piece)
                if payload.get("stream"):
                    delta = {"conversation_id": conversation, "delta": piece}
                    told: Json = {"action": "assistant_message_delta", "payload": delta}
                    await socket.send_text(_encoded(told))
            answer = "".join(pieces).strip()
            answered = {"message": record(user, conversation, "assistant", answer) | own}
            await socket.send_text(_encoded({"action": "assistant_message", "payload": answered}))
    except WebSocketDisconnect:
        return


def main() -> None:
    """Serve."""
    port, upstream, sockets, *tokens = sys.argv[1:]
    USERS.update({token: f"user-{number}" for number, token in enumerate(tokens)})
    proxy = Proxy(int(upstream))
    routes = [
        Route("/relay/health", health),
        Route("/relay/chat", relay_chat, methods=["POST"]),
        Route("/proxy/chat", proxy.posted, methods=["POST"]),
        WebSocketRoute("/proxy/ws/{user_id}", proxy.socket),
        Route("/app/chat", new_chat, methods=["POST"]),
        Route("/app/generate", generate, methods=["POST"]),
        WebSocketRoute("/app/ws/chat", chat_socket),
        Route("/pi/api/conversations", new_conversation, methods=["POST"]),
        Route("/pi/api/conversations/{id}/messages", send, methods=["POST"]),
        WebSocketRoute("/pi/ws", pichat_socket),
    ]
    uvicorn.run(
        Starlette(routes=routes, lifespan=proxy.lifespan),
        host="127.0.0.1",
        port=int(port),
        log_level="warning",
        access_log=False,
        ws=sockets,
        ws_per_message_deflate=False,
    )


if __name__ == "__main__":
    main()
