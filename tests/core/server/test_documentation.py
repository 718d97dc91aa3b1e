"""What the server adds to what its doors say of their routes."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from starlette.responses import PlainTextResponse

from jackfield.contracts.auth import Credentials, Identity
from jackfield.contracts.panel import Panel
from jackfield.server.app import create_app
from tests.core.server.support import assembly, door

pytestmark = pytest.mark.anyio


class TrialAuth:
    """Knows everybody."""

    async def identify(self, credentials: Credentials) -> Identity | None:
        return Identity("somebody")


def routes(router: APIRouter, panel: Panel) -> None:
    signed_in: dict[int | str, dict[str, Any]] = {401: {"description": "`not_authenticated`"}}

    @router.get("/things/{name}", responses=signed_in)
    async def read(name: str) -> PlainTextResponse:
        return PlainTextResponse(name)

    @router.delete("/things/{name}", responses=signed_in)
    async def delete(name: str) -> PlainTextResponse:
        return PlainTextResponse(name)

    @router.get("/public")
    async def public() -> PlainTextResponse:
        return PlainTextResponse("public")


def document() -> dict[str, Any]:
    auths = {"people": TrialAuth()}
    doors = [door(routes, mount="/open"), door(routes, mount="/closed", auth="people", number=2)]
    config = {"auth": {"people": {"use": "trial"}}}
    return create_app(assembly(*doors, auths=auths, config=config)).openapi()


def test_routes_where_one_has_to_sign_in_say_how() -> None:
    found = document()

    assert found["paths"]["/closed/things/{name}"]["get"]["security"] == [{"bearer": []}]
    assert found["components"]["securitySchemes"]["bearer"] == {"type": "http", "scheme": "bearer"}
    assert "security" not in found["paths"]["/closed/public"]["get"]


def test_routes_of_a_door_without_authentication_never_ask_for_it() -> None:
    operation = document()["paths"]["/open/things/{name}"]["get"]

    assert "security" not in operation
    assert "401" not in operation["responses"]


def test_a_document_that_is_asked_for_again_is_the_same() -> None:
    app = create_app(assembly(door(routes)))
    assert app.openapi() == app.openapi()


async def test_a_method_that_is_not_taken_is_told_all_that_are() -> None:
    transport = httpx.ASGITransport(create_app(assembly(door(routes))))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.post("/things/one")

    assert answer.status_code == 405
    assert answer.headers["allow"] == "DELETE, GET"
