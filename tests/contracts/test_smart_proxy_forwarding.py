"""smart-proxy, section 4: what reaches the backend, and what comes back from it."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, repeat
from pathlib import Path

import anyio
import httpx
import pytest

from tests.contracts.backend import Backend, Reply, before, proxy_config
from tests.contracts.harness import FORM, ServerFactory, TrialServer, raw_request, refusal

pytestmark = pytest.mark.anyio

ANSWER = {"message": "AI response text", "type": "text"}


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with Backend() as backend:
        yield backend


@pytest.fixture(scope="module")
def proxy(backend: Backend, start: ServerFactory) -> TrialServer:
    return before(backend, start, "proxy", backend={"timeout_s": 1.5})


@pytest.fixture(autouse=True)
def there(request: pytest.FixtureRequest) -> None:
    """A test may have left the backend marked as gone."""
    if "proxy" in request.fixturenames:
        proxy: TrialServer = request.getfixturevalue("proxy")
        deadline = time.monotonic() + 5
        while proxy.chat(message="are you there?").headers.get("x-jackfield-source") != "upstream":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        backend: Backend = request.getfixturevalue("backend")
        backend.seen.clear()


@pytest.mark.contract("SP-01", "SP-09", "SP-27")
def test_a_message_is_answered_by_the_backend(proxy: TrialServer) -> None:
    response = proxy.chat(message="Hello, test message")

    assert response.status_code == 200
    assert response.json() == {"message": "third party: Hello, test message", "type": "text"}
    assert response.headers["x-jackfield-source"] == "upstream"
    assert response.headers["cache-control"] == "no-store"
    assert re.fullmatch(r"[\w-]{8,64}", response.headers["x-request-id"])


@pytest.mark.contract("SP-07")
@pytest.mark.parametrize("text", ["What’s up?\n\tÄ 😀", "  spaces stay ", "e\u0301 stays decomposed"])
def test_text_fields_arrive_under_their_names_as_they_were_sent(
    proxy: TrialServer, backend: Backend, text: str
) -> None:
    fields = {
        "message": text,
        "type": "text",
        "sessionId": "test123",
        "userId": "12345 x",
        "username": "tést user",
    }
    proxy.client.post("/chat", files={name: (None, value) for name, value in fields.items()})

    assert [seen.fields for seen in backend.seen] == [fields]


@pytest.mark.contract("SP-07")
def test_an_urlencoded_message_is_passed_on_too(proxy: TrialServer, backend: Backend) -> None:
    assert proxy.client.post("/chat", data=FORM).status_code == 200
    assert [seen.fields for seen in backend.seen] == [FORM]


@pytest.mark.contract("SP-07")
def test_control_characters_are_not_passed_on(proxy: TrialServer, backend: Backend) -> None:
    proxy.chat(message="a\x00b\x1b[31mc\r\nd\te")
    assert backend.seen[0].fields["message"] == "ab[31mc\nd\te"


@pytest.mark.contract("SP-08", "SP-27")
@pytest.mark.parametrize("name", ["voice.webm", 'my "own" voicé.webm'])
def test_a_recording_arrives_with_its_bytes_its_name_and_its_type(
    proxy: TrialServer, backend: Backend, webm: bytes, name: str
) -> None:
    fields = {**FORM, "message": "[Voice Message]", "type": "voice"}
    proxy.client.post("/chat", data=fields, files={"audio": (name, webm, "audio/webm;codecs=opus")})

    (seen,) = backend.seen
    assert seen.fields == fields
    assert seen.audio is not None
    told, media_type, data = seen.audio
    assert (told.replace("%22", '"'), media_type) == (name, "audio/webm")
    assert data == webm


@pytest.mark.contract("SP-18")
def test_the_headers_that_are_passed_on_are_the_contracts(proxy: TrialServer, backend: Backend) -> None:
    sent = {
        "Authorization": "Bearer abc",
        "X-Request-Id": "my-request-1",
        "Cookie": "session=1",
        "X-Forwarded-Host": "elsewhere",
        "TE": "trailers",
        "X-Anything": "1",
    }
    assert proxy.chat(headers=sent).headers["x-request-id"] == "my-request-1"

    headers = backend.seen[0].headers
    assert headers["authorization"] == "Bearer abc"
    assert headers["x-request-id"] == "my-request-1"
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-jackfield-hop"] == "1"
    assert headers["host"] == backend.url.removeprefix("http://")
    assert not {"cookie", "x-forwarded-host", "te", "x-anything"} & set(headers)


@pytest.mark.contract("SP-09")
def test_an_answer_has_no_further_keys(proxy: TrialServer, backend: Backend) -> None:
    body = {**ANSWER, "audioUrl": "/a.mp3", "transcript": "x", "session": 1}
    with backend.answering(Reply(body=body)):
        assert proxy.chat().json() == ANSWER


BAD_BODIES = [
    b"not json secret-123",
    b"[" * 100_000,
    b"",
    [],
    {},
    {"message": "secret-123"},
    {"message": 1, "type": "text"},
    {"message": "x", "type": "song"},
    {"message": "x", "type": "voice"},
    {"message": "x", "type": "voice", "audioUrl": 7},
    {"message": "x", "type": "voice", "audioUrl": "javascript:alert(1)"},
    {"message": "x", "type": "voice", "audioUrl": "http://[secret-123"},
    {"message": "x" * 2_000_000, "type": "text"},
]


@pytest.mark.contract("SP-15")
@pytest.mark.parametrize("body", BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_an_answer_that_is_none_is_an_error(proxy: TrialServer, backend: Backend, body: object) -> None:
    with backend.answering(Reply(body=body)):
        refusal(proxy.chat(), 502, "backend_bad_response")
    assert proxy.chat().status_code == 200  # the backend is there all the same


@pytest.mark.contract("SP-15", "SP-04")
@pytest.mark.parametrize("reply", [Reply(502), Reply(503), Reply(504), Reply(hangs_up=True)], ids=str)
def test_a_backend_that_cannot_serve_is_stood_in_for(
    proxy: TrialServer, backend: Backend, reply: Reply
) -> None:
    with backend.answering(reply):
        response = proxy.chat()
    assert (response.status_code, response.headers["x-jackfield-source"]) == (200, "fallback")
    assert len(backend.seen) == 1  # it is never sent twice


@pytest.mark.contract("SP-15", "SP-03")
@pytest.mark.parametrize("status", [404, 405])
def test_something_else_in_the_backends_place_is_stood_in_for_with_one_warning(
    proxy: TrialServer, backend: Backend, status: int
) -> None:
    told_before = len(proxy.output())
    with backend.answering(Reply(status, {"detail": "Not Found"})):
        sources = set()
        deadline = time.monotonic() + 5
        while len(backend.seen) < 3 and time.monotonic() < deadline:
            sources.add(proxy.chat().headers["x-jackfield-source"])
    assert sources == {"fallback"}
    assert proxy.output()[told_before:].count("something else is listening there") == 1


@pytest.mark.contract("SP-15")
@pytest.mark.parametrize("status", [400, 401, 403, 413, 415, 422, 429])
def test_a_refusal_of_our_shape_is_kept(proxy: TrialServer, backend: Backend, status: int) -> None:
    errors = [{"field": "message", "code": "too_long", "message": "It is too long."}, {"field": 1}]
    body = {"detail": "Say less.", "code": "said_too_much", "request_id": "x", "errors": errors}
    with backend.answering(Reply(status, body, {"Retry-After": "17"})):
        response = proxy.chat()

    told = refusal(response, status, "said_too_much")
    assert told["detail"] == "Say less."
    assert told.get("errors", errors[:1]) == errors[:1]
    assert response.headers["retry-after"] == "17"
    assert proxy.chat().headers["x-jackfield-source"] == "upstream"


@pytest.mark.contract("SP-15")
@pytest.mark.parametrize("status", [400, 401, 403, 413, 415, 422, 429])
@pytest.mark.parametrize(
    "body", [b"<h1>secret-123</h1>", {"detail": [{"msg": "secret-123"}]}, {"detail": "secret-123"}]
)
def test_a_refusal_of_any_other_shape_says_nothing(
    proxy: TrialServer, backend: Backend, status: int, body: object
) -> None:
    with backend.answering(Reply(status, body, {"Retry-After": "secret-123", "X-Trace": "secret-123"})):
        response = proxy.chat()

    assert response.status_code == status
    refusal(response, status, response.json()["code"])
    assert "secret-123" not in str(response.headers)


@pytest.mark.contract("SP-15")
@pytest.mark.parametrize("status", [500, 501, 507, 508])
def test_a_backend_that_failed_is_an_error_without_its_words(
    proxy: TrialServer, backend: Backend, status: int
) -> None:
    body = {"detail": "secret-123", "code": "internal_error", "request_id": "x"}
    with backend.answering(Reply(status, body)):
        refusal(proxy.chat(), 502, "backend_error")
    assert "secret-123" not in proxy.output()


@pytest.mark.contract("SP-30")
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(proxy: TrialServer, backend: Backend, status: int) -> None:
    with Backend() as elsewhere, backend.answering(Reply(status, b"", {"Location": f"{elsewhere.url}/chat"})):
        refusal(proxy.chat(), 502, "backend_bad_response")
        assert (elsewhere.seen, elsewhere.got) == ([], [])
    assert proxy.calls_out() == []


@pytest.mark.contract("SP-29")
def test_a_hanging_backend_holds_nobody_longer_than_its_time(proxy: TrialServer, backend: Backend) -> None:
    with backend.answering(Reply(delay_s=4)):
        began_s = time.monotonic()
        response = proxy.chat()
        waited_s = time.monotonic() - began_s
    assert response.headers["x-jackfield-source"] == "fallback"
    assert 1.4 < waited_s < 3.5


@pytest.mark.contract("SP-29")
def test_a_backend_that_dribbles_its_answer_holds_nobody_either(start: ServerFactory) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, ThreadPoolExecutor(1) as pool:
        pool.submit(_dribble, listener)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        proxy = start("dribbled", proxy_config(url, backend={"timeout_s": 1, "probe_interval_s": 60}))
        began_s = time.monotonic()
        response = proxy.chat()
        waited_s = time.monotonic() - began_s
    assert response.headers["x-jackfield-source"] == "fallback"
    assert 0.9 < waited_s < 3.5


def _dribble(listener: socket.socket) -> None:
    """Say that all is well, once; then begin an answer and never end it."""
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: "
    with listener.accept()[0] as probe:
        probe.recv(65536)
        probe.sendall(head + b'20\r\n\r\n{"status":"healthy"}')
    with listener.accept()[0] as message:
        message.settimeout(0.2)
        message.sendall(head + b"1000\r\n\r\n")
        for _ in range(30):
            try:
                message.sendall(b"{")
                if message.recv(65536) == b"":
                    return
            except TimeoutError:
                continue
            except ConnectionError:
                return


@pytest.mark.contract("SP-28")
@pytest.mark.parametrize("hops", ["3", "7"])
def test_a_message_that_was_passed_on_three_times_is_refused(
    proxy: TrialServer, backend: Backend, hops: str
) -> None:
    refusal(proxy.chat(headers={"X-Jackfield-Hop": hops}), 508, "proxy_loop")
    assert backend.seen == []


@pytest.mark.contract("SP-28")
@pytest.mark.parametrize(("hops", "next_hop"), [("2", "3"), ("1", "2"), ("many", "1")])
def test_each_proxy_counts_one_more(proxy: TrialServer, backend: Backend, hops: str, next_hop: str) -> None:
    assert proxy.chat(headers={"X-Jackfield-Hop": hops}).status_code == 200
    assert backend.seen[0].headers["x-jackfield-hop"] == next_hop


@pytest.mark.contract("SP-28")
def test_a_proxy_that_is_its_own_backend_answers_508(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = proxy_config(f"http://127.0.0.1:{port}", {"server": {"host": "127.0.0.1", "port": port}})
    with TrialServer(tmp_path / "loop", config) as proxy:
        deadline = time.monotonic() + 8
        while (response := proxy.chat()).status_code == 200 and time.monotonic() < deadline:
            time.sleep(0.05)
        refusal(response, 508, "proxy_loop")
        figures = proxy.figures()
        assert figures['jackfield_requests_total{status="508",transport="smart_proxy"}'] == 4


@pytest.mark.contract("SP-25")
def test_limits_and_errors_of_the_form_are_those_of_relay_chat(proxy: TrialServer, backend: Backend) -> None:
    refusal(proxy.chat(message="x" * 4097), 422, "invalid_request")
    refusal(proxy.chat(type="song"), 422, "invalid_request")
    refusal(proxy.chat(sessionId=None), 422, "invalid_request")
    refusal(proxy.chat(type="voice"), 422, "audio_required")
    refusal(proxy.client.post("/chat", json={}), 415, "unsupported_media_type")
    assert backend.seen == []


@pytest.mark.contract("SP-25")
def test_recordings_are_limited_as_in_relay_chat(proxy: TrialServer, backend: Backend, webm: bytes) -> None:
    refusal(proxy.say(webm + b"\0" * 10 * 1024 * 1024), 413, "audio_too_large")
    refusal(proxy.say(b"\0" * 12 * 1024 * 1024), 413, "body_too_large")
    refusal(proxy.say(b"<html>"), 415, "unsupported_audio_type")
    refusal(proxy.say(webm, "audio/mpeg"), 415, "unsupported_audio_type")
    assert backend.seen == []


@pytest.mark.contract("SP-25")
def test_an_upload_is_limited_while_it_comes_in(proxy: TrialServer) -> None:
    head = (
        "POST /chat HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n"
        "Content-Type: multipart/form-data; boundary=b\n"
    )
    first = b'--b\r\nContent-Disposition: form-data; name="audio"; filename="a"\r\n\r\n'
    endless = chain([first], repeat(b"x" * 65536))
    answer, _ = raw_request(proxy, head, (b"%x\r\n%b\r\n" % (len(piece), piece) for piece in endless))
    assert b"413" in answer.split(b"\r\n")[0]


@pytest.mark.contract("SP-16")
def test_each_forward_is_one_line_in_the_log_without_words(proxy: TrialServer) -> None:
    before_it = proxy.output()
    proxy.chat(message="findme-words", headers={"X-Request-Id": "findme-request"})
    told = proxy.output().removeprefix(before_it)

    (line,) = [line for line in told.splitlines() if "forwarded" in line]
    assert re.search(r"upstream 200 in \d+ ms, source upstream \[findme-request\]$", line)
    assert "INFO" in line
    assert "findme-words" not in proxy.output()


@pytest.mark.contract("SP-19")
def test_the_proxy_adds_less_than_50_ms(proxy: TrialServer, backend: Backend) -> None:
    def seconds(client: httpx.Client) -> float:
        began_s = time.perf_counter()
        files = {name: (None, value) for name, value in FORM.items()}
        assert client.post("/chat", files=files).status_code == 200
        return time.perf_counter() - began_s

    with httpx.Client(base_url=backend.url) as direct:
        pairs = [(seconds(direct), seconds(proxy.client)) for _ in range(200)]
    straight_s, through_s = (sorted(times)[190] for times in zip(*pairs, strict=True))
    assert through_s - straight_s < 0.05


@pytest.mark.contract("SP-20")
async def test_fifty_messages_at_once_do_not_wait_for_each_other(
    backend: Backend, start: ServerFactory
) -> None:
    proxy = before(backend, start, "patient")

    with backend.answering(lambda seen: Reply(body={**ANSWER, "message": seen.fields["message"]}, delay_s=1)):
        straight_s, _ = await _ask_fifty(backend.url)
        through_s, answers = await _ask_fifty(proxy.url)

    assert answers == [str(number) for number in range(50)]
    assert through_s - straight_s < 2


async def _ask_fifty(url: str) -> tuple[float, list[str]]:
    answers = [""] * 50

    async def ask(client: httpx.AsyncClient, number: int) -> None:
        fields = {**FORM, "message": str(number), "sessionId": f"s{number}"}
        files = {name: (None, value) for name, value in fields.items()}
        answers[number] = (await client.post("/chat", files=files)).json()["message"]

    began_s = time.monotonic()
    async with (
        httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client,
        anyio.create_task_group() as tasks,
    ):
        for number in range(50):
            tasks.start_soon(ask, client, number)
    return time.monotonic() - began_s, answers


@pytest.mark.contract("SP-18")
def test_the_proxy_may_ask_who_the_user_is(backend: Backend, start: ServerFactory) -> None:
    config = proxy_config(backend.url)
    config["transport"][0]["auth"] = "wallets"
    proxy = start("guarded", {**config, "auth": {"wallets": {"use": "trial"}}})
    ann = {"Authorization": "Bearer token-of-0xabc"}

    refusal(proxy.chat(userId="0xABC"), 401, "not_authenticated")
    refusal(proxy.chat(userId="0xDEF", headers=ann), 403, "user_mismatch")
    backend.seen.clear()
    while proxy.chat(userId="0xABC", headers=ann).headers["x-jackfield-source"] != "upstream":
        time.sleep(0.02)
    assert backend.seen[0].headers["authorization"] == "Bearer token-of-0xabc"
    assert backend.seen[0].fields["userId"] == "0xABC"


def test_credentials_in_the_address_go_to_the_backend_and_nowhere_else(
    backend: Backend, start: ServerFactory
) -> None:
    url = backend.url.replace("http://", "http://operator:secret-123@")
    proxy = start("credentials", proxy_config(url))
    backend.seen.clear()
    while proxy.chat().headers["x-jackfield-source"] != "upstream":
        time.sleep(0.02)

    assert backend.seen[0].headers["authorization"] == "Basic b3BlcmF0b3I6c2VjcmV0LTEyMw=="
    health = proxy.client.get("/health").json()["backend_client"]
    assert health == {"url": backend.url, "available": True}
    assert "secret-123" not in proxy.output()
