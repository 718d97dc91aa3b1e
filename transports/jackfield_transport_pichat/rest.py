"""The same as routes under `/api`. Bodies are the payloads; what changes is told on the user's sockets."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import TypeVar

from fastapi import APIRouter, Request, Response

from jackfield import ProtocolError
from jackfield.contracts.panel import Panel
from jackfield_transport_pichat import openapi
from jackfield_transport_pichat.payloads import (
    CreateConversation,
    GetMessages,
    ListConversations,
    Payload,
    SendMessage,
    UpdateConversation,
    UpdateSettings,
    checked,
    invalid,
)
from jackfield_transport_pichat.service import Service, Visitor
from jackfield_transport_pichat.wire import Json

P = TypeVar("P", bound=Payload)

_JSON = "application/json"


def add_routes(router: APIRouter, panel: Panel, service: Service) -> None:
    """Add every route."""
    routes = _Routes(panel, service)
    for method, path, endpoint in (
        ("GET", "/api/conversations", routes.conversations),
        ("POST", "/api/conversations", routes.create),
        ("GET", "/api/conversations/{id}", routes.details),
        ("PATCH", "/api/conversations/{id}", routes.rename),
        ("DELETE", "/api/conversations/{id}", routes.delete),
        ("GET", "/api/conversations/{id}/messages", routes.messages),
        ("POST", "/api/conversations/{id}/messages", routes.send),
        ("GET", "/api/users/me", routes.me),
        ("GET", "/api/settings", routes.settings),
        ("PATCH", "/api/settings", routes.change_settings),
    ):
        said = openapi.ROUTES[method, path]
        router.add_api_route(path, endpoint, methods=[method], response_model=None, **said)


class _Routes:
    """What the routes do."""

    def __init__(self, panel: Panel, service: Service) -> None:
        self._panel = panel
        self._service = service

    async def conversations(self, request: Request) -> Response:
        visitor = await self._visitor(request)
        wanted = checked(ListConversations, dict(request.query_params), "query")
        return _answer(await self._service.library.conversations(visitor.owner, wanted))

    async def create(self, request: Request) -> Response:
        visitor = await self._visitor(request)
        payload = await self._service.create(visitor, await _body(CreateConversation, request))
        return _answer(payload, 201)

    async def details(self, request: Request) -> Response:
        visitor = await self._visitor(request)
        return _answer(await self._service.library.details(visitor.owner, _id(request)))

    async def rename(self, request: Request) -> Response:
        visitor = await self._visitor(request)
        wanted = await _body(UpdateConversation, request, id=_id(request))
        return _answer(await self._service.rename(visitor, wanted))

    async def delete(self, request: Request) -> Response:
        await self._service.delete(await self._visitor(request), _id(request))
        return Response(status_code=204)

    async def messages(self, request: Request) -> Response:
        visitor = await self._visitor(request)
        query = {**request.query_params, "conversation_id": _id(request)}
        wanted = checked(GetMessages, query, "query")
        return _answer(await self._service.library.messages(visitor.owner, wanted))

    async def send(self, request: Request) -> Response:
        visitor = await self._visitor(request)
        wanted = await _body(SendMessage, request, conversation_id=_id(request))
        async with aclosing(self._service.send(visitor, wanted, aloud=False)) as frames:
            told = {action: payload async for action, payload in frames}
        body = {
            "message": told["message_created"]["message"],
            "reply": told["assistant_message"]["message"],
        }
        return _answer(body, 201)

    async def me(self, request: Request) -> Response:
        visitor = await self._visitor(request)
        return _answer(await self._service.library.user(visitor.owner, visitor.user.subject))

    async def settings(self, request: Request) -> Response:
        visitor = await self._visitor(request)
        return _answer((await self._service.library.settings(visitor.owner)).payload())

    async def change_settings(self, request: Request) -> Response:
        visitor = await self._visitor(request)
        return _answer(await self._service.change_settings(visitor, await _body(UpdateSettings, request)))

    async def _visitor(self, request: Request) -> Visitor:
        """Say who asks, and count it.

        :raises ProtocolError: 401, 429.
        """
        user = await self._panel.identify(request)
        if user is None:
            await self._panel.limits.check_address(request)
            user = self._panel.claimed("default")
        await self._panel.limits.check_user(user)
        return Visitor(user, self._panel.sessions.owner(user))


def _id(request: Request) -> str:
    found: str = request.path_params["id"]
    return found


async def _body(kind: type[P], request: Request, **named: str) -> P:
    """Give the body as a payload; `named` are the fields that the path has.

    :raises ProtocolError: 400 `malformed_body`, 415 `unsupported_media_type`, 422 `invalid_request`.
    """
    raw = await request.body()
    if not raw:
        return checked(kind, named)
    media_type = request.headers.get("content-type", _JSON).partition(";")[0].strip().lower()
    if media_type != _JSON:
        raise ProtocolError(415, "unsupported_media_type", "The body must be application/json.")
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        raise ProtocolError(400, "malformed_body", "The body is not JSON.") from None
    if not isinstance(found, dict):
        raise invalid()
    return checked(kind, {**found, **named})


def _answer(body: Json, status: int = 200) -> Response:
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(content, status, {"Cache-Control": "no-store"}, media_type=_JSON)
