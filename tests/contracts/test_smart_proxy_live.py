"""smart-proxy, section 7: the WebSocket of a user."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import anyio
import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.contracts.backend import Backend, Reply, before, proxy_config
from tests.contracts.harness import FORM, ServerFactory, TrialServer

pytestmark = pytest.mark.anyio

ANN = {"Authorization": "Bearer token-of-0xabc"}


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with Backend() as backend:
        yield backend


@pytest.fixture(scope="module")
def proxy(backend: Backend, start: ServerFactory) -> TrialServer:
    return before(backend, start, "proxy")


@pytest.fixture(scope="module")
def pushing(backend: Backend, start: ServerFactory) -> TrialServer:
    """A proxy whose users sign in, and are sent what their posted messages are answered."""
    config = proxy_config(backend.url, push_replies=True)
    config["transport"][0]["auth"] = "wallets"
    return start("pushing", {**config, "auth": {"wallets": {"use": "trial"}}})


@asynccontextmanager
async def talking(server: TrialServer, user: str = "12345", **how: Any) -> AsyncIterator[ClientConnection]:
    url = server.url.replace("http", "ws")
    async with connect(f"{url}/ws/{user}", max_size=None, **how) as socket:
        with anyio.fail_after(10):
            yield socket


async def say(socket: ClientConnection, frame: object) -> None:
    await socket.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))


async def hear(socket: ClientConnection) -> dict[str, Any]:
    frame: dict[str, Any] = json.loads(await socket.recv())
    return frame


async def close_code(socket: ClientConnection) -> int:
    with suppress(ConnectionClosed):
        while True:
            await socket.recv()
    return socket.close_code or 0


@pytest.mark.contract("SP-13")
async def test_a_message_is_answered_under_its_id(proxy: TrialServer, backend: Backend) -> None:
    backend.seen.clear()
    async with talking(proxy) as socket:
        await say(socket, {"message": "Hello", "type": "text", "sessionId": "session123", "id": "m1"})
        answer = await hear(socket)
    assert answer == {
        "message": "third party: Hello",
        "type": "text",
        "sessionId": "session123",
        "id": "m1",
    }
    fields = {"message": "Hello", "type": "text", "sessionId": "session123"}
    assert backend.seen[0].fields == {**fields, "userId": "12345", "username": "12345"}


@pytest.mark.contract("SP-13")
@pytest.mark.parametrize(
    ("user", "session"),
    [("12345", "ws-12345"), ("a%20b", "ws-c8687a08aa5d6ed2044328fa6a697ab8")],
)
async def test_what_a_frame_leaves_out_has_a_default(
    proxy: TrialServer, backend: Backend, user: str, session: str
) -> None:
    backend.seen.clear()
    async with talking(proxy, user) as socket:
        await say(socket, {"message": "Hello"})
        assert await hear(socket) == {
            "message": "third party: Hello",
            "type": "text",
            "sessionId": session,
        }


@pytest.mark.contract("SP-13", "SP-08")
async def test_a_recording_may_come_as_base64(proxy: TrialServer, backend: Backend, webm: bytes) -> None:
    backend.seen.clear()
    sound = base64.b64encode(webm).decode()
    reply = Reply(body={"message": "heard", "type": "voice", "audioUrl": "/a.mp3"})
    async with talking(proxy) as socket:
        with backend.answering(reply):
            await say(socket, {"type": "voice", "audio": sound, "mimeType": "audio/webm", "id": "m2"})
            answer = await hear(socket)
    assert (answer["type"], answer["message"], answer["id"]) == ("voice", "heard", "m2")
    assert answer["audioUrl"].startswith("/api/voice/")
    assert backend.seen[0].audio == ("voice.webm", "audio/webm", webm)


@pytest.mark.contract("SP-13", "SP-04")
async def test_without_a_backend_the_fallback_answers(start: ServerFactory) -> None:
    proxy = start("alone", proxy_config("http://127.0.0.1:9"))
    async with talking(proxy) as socket:
        await say(socket, {"message": "Hello", "id": "m1"})
        assert (await hear(socket))["message"].startswith("The assistant is not available")


@pytest.mark.contract("SP-13")
async def test_a_ping_is_answered(proxy: TrialServer) -> None:
    async with talking(proxy) as socket:
        await say(socket, {"type": "ping"})
        assert await hear(socket) == {"type": "pong"}


@pytest.mark.contract("SP-13")
@pytest.mark.parametrize(
    ("frame", "code", "told_id"),
    [
        ("not json", "invalid_json", None),
        (b"\x00", "invalid_json", None),
        ([1], "invalid_json", None),
        ({"type": "song", "id": "m1"}, "invalid_request", "m1"),
        ({"message": "", "id": "m1"}, "invalid_request", "m1"),
        ({"message": 7, "id": "m1"}, "invalid_request", "m1"),
        ({"message": "x" * 4097, "id": "m1"}, "invalid_request", "m1"),
        ({"message": "x", "sessionId": "a b", "id": "m1"}, "invalid_request", "m1"),
        ({"message": "x", "id": 7}, "invalid_request", None),
        ({"message": "x", "id": "m" * 65}, "invalid_request", None),
        ({"type": "voice", "id": "m1"}, "audio_required", "m1"),
        ({"type": "voice", "audio": "%%", "id": "m1"}, "invalid_request", "m1"),
        ({"type": "voice", "audio": 7, "id": "m1"}, "invalid_request", "m1"),
        ({"type": "voice", "audio": "eHh4", "id": "m1"}, "unsupported_audio_type", "m1"),
        (
            {"type": "voice", "audio": "T2dnUw==", "mimeType": "audio/ogg\r\nX: 1", "id": "m1"},
            "unsupported_audio_type",
            "m1",
        ),
    ],
    ids=range(15),
)
async def test_a_bad_frame_is_told_and_the_socket_stays_open(
    proxy: TrialServer, frame: object, code: str, told_id: str | None
) -> None:
    async with talking(proxy) as socket:
        await say(socket, frame)
        error = await hear(socket)
        assert (error["type"], error["code"], error.get("id")) == ("error", code, told_id)
        assert isinstance(error["detail"], str)
        await say(socket, {"type": "ping"})
        assert await hear(socket) == {"type": "pong"}


@pytest.mark.contract("SP-13", "SP-15")
async def test_an_error_of_the_backend_is_told_under_the_id(proxy: TrialServer, backend: Backend) -> None:
    async with talking(proxy) as socket:
        with backend.answering(Reply(500, {"detail": "secret-123"})):
            await say(socket, {"message": "Hello", "id": "m1"})
            error = await hear(socket)
    assert error == {
        "type": "error",
        "code": "backend_error",
        "detail": "The backend failed.",
        "id": "m1",
    }


@pytest.mark.contract("SP-13")
@pytest.mark.parametrize("frame", ["not json", {"type": "song"}, {"message": ""}, {"message": 7}], ids=str)
async def test_twenty_bad_frames_close_the_socket(proxy: TrialServer, frame: object) -> None:
    async with talking(proxy) as socket:
        for _ in range(20):
            await say(socket, frame)
        assert await close_code(socket) == 1008


@pytest.mark.contract("SP-13")
async def test_a_frame_of_more_than_16_mib_closes_the_socket(proxy: TrialServer) -> None:
    async with talking(proxy) as socket:
        with suppress(ConnectionClosed):
            await say(socket, {"message": "x" * (16 * 1024 * 1024)})
        assert await close_code(socket) == 1009


@pytest.mark.contract("SP-13")
async def test_answers_of_one_session_come_in_order_and_others_meanwhile(
    proxy: TrialServer, backend: Backend
) -> None:
    delays = {"first": 0.6, "second": 0.0, "third": 0.0, "other": 0.0}

    def answer(seen: Any) -> Reply:
        text = seen.fields["message"]
        return Reply(body={"message": text, "type": "text"}, delay_s=delays[text])

    async with talking(proxy) as socket:
        with backend.answering(answer):
            for text in ("first", "second", "third"):
                await say(socket, {"message": text, "sessionId": "one"})
            await say(socket, {"message": "other", "sessionId": "two"})
            heard = [(await hear(socket))["message"] for _ in range(4)]
    assert heard == ["other", "first", "second", "third"]


@pytest.mark.contract("SP-13")
async def test_more_messages_than_may_wait_are_refused(proxy: TrialServer, backend: Backend) -> None:
    async with talking(proxy) as socket:
        with backend.answering(Reply(body={"message": "late", "type": "text"}, delay_s=0.3)):
            for number in range(9):
                await say(socket, {"message": "Hello", "id": str(number)})
            error = await hear(socket)
            assert (error["code"], error["id"]) == ("session_busy", "8")
            assert [(await hear(socket))["id"] for _ in range(8)] == [str(number) for number in range(8)]


@pytest.mark.contract("SP-13")
async def test_a_user_may_have_eight_sockets(proxy: TrialServer) -> None:
    async with AsyncExitStack() as sockets:
        for _ in range(8):
            socket = await sockets.enter_async_context(talking(proxy, "crowd"))
            await say(socket, {"type": "ping"})
            assert await hear(socket) == {"type": "pong"}
        async with talking(proxy, "crowd") as ninth:
            error = await hear(ninth)
            assert error["code"] == "too_many_sockets"
            assert await close_code(ninth) == 4429
        async with talking(proxy, "somebody-else") as other:
            await say(other, {"type": "ping"})
            assert await hear(other) == {"type": "pong"}


@pytest.mark.contract("SP-13")
async def test_a_user_id_that_is_none_is_refused(proxy: TrialServer) -> None:
    async with talking(proxy, "x" * 129) as socket:
        assert (await hear(socket))["code"] == "invalid_request"
        assert await close_code(socket) == 1008


@pytest.mark.contract("SP-13")
async def test_a_page_of_a_foreign_site_is_refused(proxy: TrialServer) -> None:
    async with talking(proxy, additional_headers={"Origin": "https://evil.example"}) as socket:
        assert await close_code(socket) == 4403


@pytest.mark.contract("SP-13", "SP-18")
@pytest.mark.parametrize(
    ("user", "headers", "code"), [("0xabc", {}, 4401), ("0xdef", ANN, 4403)], ids=["nobody", "another"]
)
async def test_only_the_user_may_open_the_users_socket(
    pushing: TrialServer, user: str, headers: dict[str, str], code: int
) -> None:
    async with talking(pushing, user, additional_headers=headers) as socket:
        assert (await hear(socket))["type"] == "error"
        assert await close_code(socket) == code


@pytest.mark.contract("SP-18")
async def test_a_token_in_the_subprotocol_is_passed_on_as_a_header(
    pushing: TrialServer, backend: Backend
) -> None:
    protocols = [Subprotocol("jackfield.bearer"), Subprotocol("token-of-0xabc")]
    async with talking(pushing, "0xABC", subprotocols=protocols) as socket:
        assert socket.subprotocol == "jackfield.bearer"
        answer: dict[str, Any] = {}
        while not answer.get("message", "").startswith("third party"):
            backend.seen.clear()
            await say(socket, {"message": "Hello"})
            answer = await hear(socket)
    assert backend.seen[0].headers["authorization"] == "Bearer token-of-0xabc"


@pytest.mark.contract("SP-32")
async def test_a_posted_message_is_answered_on_the_users_sockets_too(pushing: TrialServer) -> None:
    bob = {"Authorization": "Bearer token-of-0xdef"}
    async with (
        talking(pushing, "0xabc", additional_headers=ANN) as one,
        talking(pushing, "0xABC", additional_headers=ANN) as two,
        talking(pushing, "0xdef", additional_headers=bob) as other,
        httpx.AsyncClient(base_url=pushing.url) as client,
    ):
        for socket in (one, two, other):
            await say(socket, {"type": "ping"})
            assert await hear(socket) == {"type": "pong"}
        fields = {**FORM, "userId": "0xabc", "sessionId": "s9"}
        posted = (await client.post("/chat", data=fields, headers=ANN)).json()
        assert await hear(one) == {**posted, "sessionId": "s9"}
        assert await hear(two) == {**posted, "sessionId": "s9"}
        await say(other, {"type": "ping"})
        assert await hear(other) == {"type": "pong"}


@pytest.mark.contract("SP-32")
async def test_without_the_option_nothing_is_pushed(proxy: TrialServer) -> None:
    async with talking(proxy, "0x1234") as socket, httpx.AsyncClient(base_url=proxy.url) as client:
        await say(socket, {"type": "ping"})
        assert await hear(socket) == {"type": "pong"}
        assert (await client.post("/chat", data=FORM)).status_code == 200
        await say(socket, {"type": "ping"})
        assert await hear(socket) == {"type": "pong"}


@pytest.mark.contract("SP-32")
def test_pushing_to_users_who_do_not_sign_in_stops_the_start(
    backend: Backend, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("unguarded") / "server"
    process = TrialServer(folder, proxy_config(backend.url, push_replies=True)).spawn()
    assert process.wait(40) != 0
    assert "[transport.1.options.push_replies]" in (folder / "output").read_text()


async def test_a_client_that_leaves_gives_up_its_message(proxy: TrialServer, backend: Backend) -> None:
    with backend.answering(Reply(body={"message": "late", "type": "text"}, delay_s=5)):
        backend.seen.clear()
        async with talking(proxy) as socket:
            await say(socket, {"message": "Hello"})
            while not backend.seen:
                await anyio.sleep(0.02)
        with anyio.fail_after(4):
            while "upstream given up in" not in proxy.output():
                await anyio.sleep(0.02)
