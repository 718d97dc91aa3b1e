"""pichat, section 4: tokens."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.contracts.harness import ServerFactory, TrialServer, refusal
from tests.contracts.pichat_device import ANN_TOKEN, DEFAULT_TOKEN, Device, api, pichat, started


@pytest.fixture(scope="module")
def server(start: ServerFactory) -> TrialServer:
    return started(start)


@pytest.mark.contract("PI-15")
@pytest.mark.parametrize("headers", [{"Authorization": f"Bearer {ANN_TOKEN}"}, {"X-API-Key": ANN_TOKEN}])
def test_a_token_is_taken_from_either_header(server: TrialServer, headers: dict[str, str]) -> None:
    response = server.client.get("/api/users/me", headers=headers)
    assert (response.status_code, response.json()["id"]) == (200, "ann")
    url = server.url.replace("http", "ws", 1) + "/ws"
    with connect(url, additional_headers=headers, proxy=None) as socket:
        socket.send('{"action": "ping"}')
        assert socket.recv() == '{"action":"pong","payload":{}}'


@pytest.mark.contract("PI-15")
def test_a_browser_sends_its_token_as_a_subprotocol(server: TrialServer) -> None:
    offered = [Subprotocol("jackfield.bearer"), Subprotocol(DEFAULT_TOKEN)]
    with connect(server.url.replace("http", "ws", 1) + "/ws", subprotocols=offered, proxy=None) as socket:
        assert socket.subprotocol == "jackfield.bearer"
        socket.send('{"action": "ping"}')
        assert socket.recv() == '{"action":"pong","payload":{}}'


@pytest.mark.contract("PI-15")
@pytest.mark.parametrize("token", [None, "wrong", DEFAULT_TOKEN[:-1], DEFAULT_TOKEN + "x"])
def test_without_the_right_token_a_socket_is_closed_with_4401(server: TrialServer, token: str | None) -> None:
    with Device(server, token) as device:
        frame = device.next()
        assert (frame["action"], frame["payload"]["code"]) == ("error", "not_authenticated")
        assert device.close_code() == 4401


@pytest.mark.contract("PI-15")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/conversations"),
        ("POST", "/conversations"),
        ("GET", "/conversations/x"),
        ("PATCH", "/conversations/x"),
        ("DELETE", "/conversations/x"),
        ("GET", "/conversations/x/messages"),
        ("POST", "/conversations/x/messages"),
        ("GET", "/users/me"),
        ("GET", "/settings"),
        ("PATCH", "/settings"),
    ],
)
def test_without_the_right_token_no_route_answers(server: TrialServer, method: str, path: str) -> None:
    refusal(server.client.request(method, f"/api{path}"), 401, "not_authenticated")
    refusal(api(server, method, path, "wrong"), 401, "not_authenticated")


@pytest.mark.contract("PI-15")
def test_without_authentication_everybody_is_one_user(tmp_path: Path) -> None:
    config = pichat(transport=[{"use": "pichat"}], auth=None)
    with (
        TrialServer(tmp_path / "server", config) as server,
        Device(server, None) as one,
        Device(server, "whatever") as other,
    ):
        conversation = one.conversation()
        assert other.next()["payload"]["conversation"]["id"] == conversation
        assert httpx.get(f"{server.url}/api/users/me").json()["id"] == "default"
