"""Routes of two doors that one request could match."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import APIRouter, WebSocket
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from jackfield.assembly import Door
from jackfield.contracts.auth import Credentials, Identity
from jackfield.contracts.panel import Panel
from jackfield.errors import ConfigError
from jackfield.server.app import create_app
from tests.core.server.support import AddRoutes, assembly, door


def http(method: str, *paths: str) -> AddRoutes:
    """Routes of one method."""

    def add(router: APIRouter, _panel: Panel) -> None:
        for path in paths:
            router.add_api_route(path, _answer, methods=[method])

    return add


def websocket(path: str) -> AddRoutes:
    """A WebSocket route."""

    def add(router: APIRouter, _panel: Panel) -> None:
        router.add_api_websocket_route(path, _socket)

    return add


async def _answer() -> Response:
    return Response()


async def _socket(socket: WebSocket) -> None:
    await socket.accept()


def _two(one: AddRoutes, other: AddRoutes, mount: str = "") -> tuple[Door, Door]:
    return door(one, name="first", number=1), door(other, name="second", number=2, mount=mount)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (http("POST", "/chat"), http("POST", "/chat")),
        (http("GET", "/chat"), http("HEAD", "/chat")),
        (http("GET", "/chat/{id}"), http("GET", "/chat/new")),
        (http("GET", "/chat/{id}"), http("GET", "/{room}/new")),
        (http("GET", "/a/{id:int}"), http("GET", "/a/b")),
        (http("GET", "/a/file-{id}.mp3"), http("GET", "/a/other")),
        (http("GET", "/files/{rest:path}"), http("GET", "/files/a/b/c")),
        (http("GET", "/files/{rest:path}"), http("GET", "/files/")),
        (http("GET", "/files/{rest:path}"), http("GET", "/files/a/{any:path}")),
        (websocket("/ws/{user_id}"), websocket("/ws/chat")),
    ],
)
def test_routes_that_one_request_could_match_stop_the_start(one: AddRoutes, other: AddRoutes) -> None:
    with pytest.raises(ConfigError) as refused:
        create_app(assembly(*_two(one, other)))
    (problem,) = refused.value.problems
    assert "first [transport.1]" in problem.message
    assert "second [transport.2]" in problem.message
    assert "`mount`" in problem.fix


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (http("GET", "/chat"), http("POST", "/chat")),
        (http("GET", "/ws"), websocket("/ws")),
        (http("GET", "/chat/{id}"), http("GET", "/chat")),
        (http("GET", "/chat/{id}"), http("GET", "/chat/{id}/messages")),
        (http("GET", "/chat/{id}"), http("GET", "/chat/")),
        (http("GET", "/a/{id}"), http("GET", "/b/{id}")),
        (http("GET", "/files/{rest:path}"), http("GET", "/files")),
    ],
)
def test_routes_that_no_request_could_match_both_are_let_be(one: AddRoutes, other: AddRoutes) -> None:
    create_app(assembly(*_two(one, other)))


def test_both_routes_are_named_with_their_mounts() -> None:
    doors = _two(http("POST", "/pi/chat"), http("POST", "/chat"), mount="/pi")
    with pytest.raises(ConfigError, match=r"POST /pi/chat of second .* POST /pi/chat of first"):
        create_app(assembly(*doors))


def test_a_mount_of_its_own_settles_it() -> None:
    create_app(assembly(*_two(http("POST", "/chat"), http("POST", "/chat"), mount="/other")))


def test_a_static_folder_takes_everything_below_it(tmp_path: Path) -> None:
    def static(router: APIRouter, _panel: Panel) -> None:
        router.mount("/page", StaticFiles(directory=tmp_path))

    with pytest.raises(ConfigError):
        create_app(assembly(*_two(static, http("GET", "/page/ws/{id}"))))
    with pytest.raises(ConfigError):
        create_app(assembly(*_two(static, websocket("/page/ws"))))
    create_app(assembly(*_two(static, http("GET", "/pages"))))


def test_a_router_inside_a_router_is_looked_into() -> None:
    def nested(router: APIRouter, panel: Panel) -> None:
        inner = APIRouter(prefix="/inner")
        http("GET", "/a")(inner, panel)
        router.include_router(inner, prefix="/outer")

    with pytest.raises(ConfigError, match="/outer/inner/a"):
        create_app(assembly(*_two(nested, http("GET", "/outer/inner/{x}"))))


@pytest.mark.parametrize("path", ["/health", "/metrics", "/docs", "/openapi.json", "/{anything}"])
def test_the_cores_own_routes_count(path: str) -> None:
    with pytest.raises(ConfigError, match="the core"):
        create_app(assembly(door(http("GET", path))))


def test_routes_of_one_door_may_rely_on_their_order() -> None:
    create_app(assembly(door(http("GET", "/chat/new", "/chat/{id}"))))


class SignIn:
    """Authentication with a route."""

    async def identify(self, credentials: Credentials) -> Identity | None:
        return None

    def routes(self, _panel: Panel) -> APIRouter:
        router = APIRouter()
        router.add_api_route("/token", _answer, methods=["POST"])
        return router


def _guarded(paths: Callable[[int], str]) -> tuple[Door, Door]:
    first = door(http("POST", paths(1)), auth="accounts", number=1)
    return first, door(http("POST", paths(2)), auth="accounts", number=2)


def test_routes_of_authentication_count_too() -> None:
    with pytest.raises(ConfigError, match=r"\[auth\.accounts\]"):
        create_app(assembly(*_guarded(lambda n: "/token" if n == 2 else "/x"), auths={"accounts": SignIn()}))


def test_two_doors_of_one_mount_may_share_an_authentication() -> None:
    create_app(assembly(*_guarded(lambda n: f"/x{n}"), auths={"accounts": SignIn()}))
