"""What clients are told of errors."""

from __future__ import annotations

import logging
from typing import Annotated, Literal

import httpx
import pytest
from fastapi import APIRouter, Form, WebSocket

from jackfield.contracts.panel import Panel
from jackfield.errors import FieldError, ProtocolError, StoreUnavailable
from tests.core.server.support import assembly, door, serving

pytestmark = pytest.mark.anyio


def failing(router: APIRouter, _panel: Panel) -> None:
    @router.get("/refused")
    async def refused() -> None:
        raise ProtocolError(409, "taken", "It is taken.", headers={"Retry-After": "3"})

    @router.get("/invalid")
    async def invalid() -> None:
        raise ProtocolError(
            422, "invalid_request", "A field is wrong.", (FieldError("name", "too_long", "It is too long."),)
        )

    @router.get("/oauth")
    async def oauth() -> None:
        raise ProtocolError(401, "invalid_credentials", "Wrong.", members={"error": "invalid_grant"})

    @router.get("/broken")
    async def broken() -> None:
        raise RuntimeError("secret-123")

    @router.get("/store")
    async def store() -> None:
        raise StoreUnavailable("redis://user:secret-123@host")

    @router.post("/form")
    async def form(kind: Annotated[Literal["text", "voice"], Form()]) -> str:
        return kind

    @router.post("/json")
    async def json(body: dict[str, int]) -> int:
        return len(body)


async def _get(path: str) -> httpx.Response:
    async with serving(assembly(door(failing))) as served:
        return await served.client.get(path)


async def test_an_error_has_the_members_that_its_protocol_asks_for() -> None:
    body = (await _get("/oauth")).json()
    assert set(body) == {"detail", "code", "request_id", "error"}
    assert body["error"] == "invalid_grant"


async def test_a_protocol_error_becomes_its_status_code_and_sentence() -> None:
    answer = await _get("/refused")
    assert answer.status_code == 409
    assert answer.headers["retry-after"] == "3"
    body = answer.json()
    assert body == {
        "detail": "It is taken.",
        "code": "taken",
        "request_id": answer.headers["x-request-id"],
    }


async def test_fields_are_listed_with_422() -> None:
    answer = await _get("/invalid")
    assert answer.json()["errors"] == [{"field": "name", "code": "too_long", "message": "It is too long."}]


async def test_an_unforeseen_error_is_told_to_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    answer = await _get("/broken")
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert answer.json()["detail"] == "Something went wrong on the server."
    assert "secret-123" not in answer.text
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert "secret-123" in str(record.exc_info[1])


async def test_a_store_out_of_reach_is_503() -> None:
    answer = await _get("/store")
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert "secret-123" not in answer.text


async def test_an_unknown_address_is_404_in_the_same_shape() -> None:
    answer = await _get("/nowhere")
    assert answer.status_code == 404
    assert set(answer.json()) == {"detail", "code", "request_id"}
    assert answer.json()["code"] == "not_found"


async def test_a_wrong_method_is_405_and_names_the_right_ones() -> None:
    async with serving(assembly(door(failing))) as served:
        answer = await served.client.delete("/refused")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize(
    ("data", "code"), [({}, "required"), ({"kind": "song"}, "invalid_choice")], ids=["missing", "unknown"]
)
async def test_the_frameworks_own_checks_answer_in_the_same_shape(data: dict[str, str], code: str) -> None:
    async with serving(assembly(door(failing))) as served:
        answer = await served.client.post("/form", data=data)
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_request"
    (error,) = answer.json()["errors"]
    assert (error["field"], error["code"]) == ("kind", code)
    assert "song" not in answer.text


async def test_a_body_that_is_not_json_is_malformed() -> None:
    async with serving(assembly(door(failing))) as served:
        answer = await served.client.post("/json", content=b"{", headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body")


async def test_errors_are_counted_by_door_and_code() -> None:
    async with serving(assembly(door(failing))) as served:
        await served.client.get("/refused")
        await served.client.get("/nowhere")
        figures = await served.figures()
    assert 'jackfield_errors_total{code="taken",transport="trial"} 1.0' in figures
    assert 'jackfield_errors_total{code="not_found",transport="core"} 1.0' in figures
    assert 'jackfield_requests_total{status="409",transport="trial"} 1.0' in figures


async def test_an_error_in_an_open_websocket_closes_it_with_the_code_for_its_status() -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosedError

    def routes(router: APIRouter, _panel: Panel) -> None:
        @router.websocket("/refused")
        async def refused(socket: WebSocket) -> None:
            await socket.accept()
            raise ProtocolError(401, "not_authenticated", "Sign in first.")

        @router.websocket("/broken")
        async def broken(socket: WebSocket) -> None:
            await socket.accept()
            raise RuntimeError("secret-123")

    codes = {}
    async with serving(assembly(door(routes))) as served:
        for path in ("refused", "broken"):
            async with connect(f"ws://127.0.0.1:{served.port}/{path}", proxy=None) as client:
                with pytest.raises(ConnectionClosedError) as closed:
                    await client.recv()
                assert closed.value.rcvd is not None
                assert "secret" not in closed.value.rcvd.reason
                codes[path] = closed.value.rcvd.code
    assert codes == {"refused": 4401, "broken": 1011}


async def test_an_error_before_a_websocket_is_accepted_refuses_the_handshake() -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus

    def routes(router: APIRouter, _panel: Panel) -> None:
        @router.websocket("/refused")
        async def refused(_socket: WebSocket) -> None:
            raise ProtocolError(429, "rate_limited", "Too many requests.")

    async with serving(assembly(door(routes))) as served:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"ws://127.0.0.1:{served.port}/refused", proxy=None):
                pass
    assert refused.value.response.status_code == 429
    assert b"rate_limited" in refused.value.response.body
