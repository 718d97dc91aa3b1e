"""smart-proxy, section 5: finding the backend, doing without it, and its return while requests run."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.contracts.backend import Backend, Reply, await_backend, before, is_there, proxy_config
from tests.contracts.harness import FORM, ServerFactory, Tree, TrialServer, until

FALLBACK = {
    "message": "The assistant is not available right now. Please try again in a moment.",
    "type": "text",
}


@contextmanager
def free_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    yield port


def relay_config(port: int) -> Tree:
    plain: Tree = {name: {"use": use, "options": None} for name, use in PLAIN.items()}
    return {
        **plain,
        "server": {"host": "127.0.0.1", "port": port},
        "extension": None,
        "transport": [{"use": "relay_chat"}],
    }


PLAIN = {"llm": "echo", "stt": "scripted", "tts": "tone", "session": "memory"}


@pytest.mark.contract("SP-02", "SP-05", "SP-27")
def test_a_relay_chat_server_is_found_left_and_found_again(tmp_path: Path) -> None:
    with free_port() as port:
        config = proxy_config(f"http://127.0.0.1:{port}", backend={"probe_interval_s": 3})
    with TrialServer(tmp_path / "proxy", config) as proxy:
        assert proxy.chat().json() == FALLBACK
        for _ in range(2):
            with TrialServer(tmp_path / "relay", relay_config(port)):
                assert await_backend(proxy) < 5
                answer = proxy.chat(message="Hello")
                assert answer.json() == {"message": "Hello", "type": "text"}
            began_s = time.monotonic()
            answer = proxy.chat()
            assert (answer.json(), answer.headers["x-jackfield-source"]) == (FALLBACK, "fallback")
            assert time.monotonic() - began_s < 1


@pytest.mark.contract("SP-01", "SP-10", "SP-27")
def test_two_of_our_own_servers_chained_answer_in_text_and_in_sound(tmp_path: Path, webm: bytes) -> None:
    with free_port() as port:
        config = proxy_config(f"http://127.0.0.1:{port}")
    with (
        TrialServer(tmp_path / "relay", relay_config(port)),
        TrialServer(tmp_path / "proxy", config) as proxy,
    ):
        assert proxy.chat(message="Hello").headers["x-jackfield-source"] == "upstream"  # from the first on
        spoken = proxy.say(webm)
        assert spoken.json()["type"] == "voice"
        clip = proxy.client.get(spoken.json()["audioUrl"])
        assert (clip.status_code, clip.headers["content-type"]) == (200, "audio/mpeg")
        assert len(clip.content) > 500


@pytest.mark.contract("SP-05")
def test_it_comes_and_goes_while_requests_run_and_none_of_them_fails(tmp_path: Path) -> None:
    with Backend() as first:
        port = first.server_port
        config = proxy_config(first.url, backend={"probe_interval_s": 0.1})
        with TrialServer(tmp_path / "proxy", config) as proxy:
            await_backend(proxy)
            crowd = _Crowd(proxy.url)
            with crowd:
                until(lambda: crowd.count("upstream") > 20, "the backend answers")
                first.stop()
                until(lambda: crowd.count("fallback") > 20, "the fallback answers")
                seen = crowd.count("upstream")
                with Backend(port):
                    until(lambda: crowd.count("upstream") > seen + 20, "the backend answers again")
            assert crowd.wrong == []


class _Crowd:
    """Four clients that go on asking."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._sources: list[str] = []
        self.wrong: list[str] = []
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(4)]

    def count(self, source: str) -> int:
        return self._sources.count(source)

    def _ask(self, number: int) -> None:
        with httpx.Client(base_url=self._url, timeout=10) as client:
            while not self._stop.is_set():
                answer = client.post("/chat", data={**FORM, "sessionId": f"s{number}"})
                if answer.status_code != 200:
                    self.wrong.append(answer.text)
                else:
                    self._sources.append(answer.headers["x-jackfield-source"])

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.contract("SP-03")
@pytest.mark.parametrize(
    "health",
    [
        Reply(503, {"status": "healthy"}),
        Reply(200, {"status": "degraded"}),
        Reply(200, {"status": True}),
        Reply(200, ["healthy"]),
        Reply(200, b"healthy"),
        Reply(302, b"", {"Location": "/chat/health"}),
        Reply(hangs_up=True),
    ],
    ids=range(7),
)
def test_an_open_port_that_does_not_say_healthy_is_no_backend(
    start: ServerFactory, backend: Backend, health: Reply
) -> None:
    proxy = start("proxy", proxy_config(backend.url))
    backend.health = health
    backend.got.clear()
    until(lambda: len(backend.got) > 3, "it is asked several times")
    assert not is_there(proxy)
    backend.seen.clear()
    assert proxy.chat().json() == FALLBACK
    assert backend.seen == []


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with Backend() as backend:
        yield backend


@pytest.mark.contract("SP-03")
def test_a_server_other_than_the_expected_one_is_no_backend(backend: Backend, start: ServerFactory) -> None:
    backend.health = Reply(body={"status": "healthy", "service": "f1-predictions"})
    proxy = start("expecting", proxy_config(backend.url, backend={"expect_service": "chat-api"}))
    backend.got.clear()
    until(lambda: len(backend.got) > 3, "it is asked several times")
    assert proxy.chat().headers["x-jackfield-source"] == "fallback"
    backend.health = Reply(body={"status": "healthy", "service": "chat-api"})
    await_backend(proxy)


@pytest.mark.contract("SP-02")
def test_another_path_may_tell_the_health(backend: Backend, start: ServerFactory) -> None:
    backend.health = Reply(body={"status": "healthy"})
    await_backend(start("elsewhere", proxy_config(backend.url, backend={"probe_path": "/very/health"})))
    assert "/very/health" in backend.got


@pytest.mark.contract("SP-05")
def test_one_bad_probe_changes_nothing_and_two_do(start: ServerFactory) -> None:
    with Backend() as backend:
        proxy = before(backend, start, "probed")
        replies = [Reply(503, {}), Reply(body={"status": "healthy"})]
        backend.got.clear()
        backend.health = replies[0]
        until(lambda: len(backend.got) > 3, "it is asked several times")
        assert proxy.chat().headers["x-jackfield-source"] == "fallback"
        assert backend.seen[-1].fields["message"] != "after"
        backend.health = replies[1]
        await_backend(proxy)


@pytest.mark.contract("SP-05", "SP-29")
def test_after_one_message_was_waited_for_no_other_waits(start: ServerFactory) -> None:
    with Backend() as backend:
        proxy = before(backend, start, "waiting", backend={"timeout_s": 1, "probe_interval_s": 30})
        with backend.answering(Reply(delay_s=3)):
            proxy.chat()
            began_s = time.monotonic()
            assert proxy.chat().headers["x-jackfield-source"] == "fallback"
            assert time.monotonic() - began_s < 0.5


@pytest.mark.contract("SP-04", "SP-19", "SP-27")
def test_without_a_backend_the_placeholder_is_answered_at_once(start: ServerFactory, webm: bytes) -> None:
    with free_port() as port:
        proxy = start("alone", proxy_config(f"http://127.0.0.1:{port}"))
    for kind in ("text", "voice"):
        began_s = time.monotonic()
        answer = proxy.say(webm) if kind == "voice" else proxy.chat()
        assert time.monotonic() - began_s < 1
        assert (answer.status_code, answer.json()) == (200, FALLBACK)
        assert answer.headers["x-jackfield-source"] == "fallback"


@pytest.mark.contract("SP-06")
def test_health_says_where_the_backend_is_and_whether_it_is_there(start: ServerFactory) -> None:
    with Backend() as backend:
        proxy = before(backend, start, "healthy")
        url = backend.url
        told = {"status": "healthy", "backend_client": {"url": url, "available": True}}
        answer = proxy.client.get("/health")
        assert (answer.status_code, answer.json()) == (200, told)
    until(lambda: not is_there(proxy), "the backend is missed")
    told["backend_client"] = {"url": url, "available": False}
    answer = proxy.client.get("/health")
    assert (answer.status_code, answer.json()) == (200, told)


@pytest.mark.contract("SP-06")
def test_without_a_fallback_health_is_degraded_and_messages_are_refused(start: ServerFactory) -> None:
    with free_port() as port:
        proxy = start("none", proxy_config(f"http://127.0.0.1:{port}", fallback={"use": "none"}))
    health = proxy.client.get("/health")
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    answer = proxy.chat()
    assert (answer.status_code, answer.json()["code"]) == (503, "backend_unavailable")


@pytest.fixture(scope="module")
def asked() -> Iterator[Backend]:
    """A backend of the proxy below alone, so that its probes can be counted."""
    with Backend() as backend:
        yield backend


@pytest.fixture(scope="module")
def rarely(asked: Backend, start: ServerFactory) -> TrialServer:
    """A proxy that asks its backend when somebody asks it, and hardly ever otherwise."""
    return before(asked, start, "rarely", backend={"probe_interval_s": 3600})


@pytest.mark.contract("SP-06")
def test_what_health_says_is_not_older_than_two_seconds(asked: Backend, rarely: TrialServer) -> None:
    asked.got.clear()
    until(lambda: is_there(rarely) and asked.got, "the last probe is too old to be told")
    assert is_there(rarely)
    assert len(asked.got) == 1


@pytest.mark.contract("SP-31")
def test_health_answers_within_1200_ms_while_the_backend_hangs(asked: Backend, rarely: TrialServer) -> None:
    asked.health = Reply(body={"status": "healthy"}, delay_s=5)
    waited_s = []
    there = True
    while there:
        began_s = time.monotonic()
        told = rarely.client.get("/health").json()
        waited_s.append(time.monotonic() - began_s)
        there = told["backend_client"]["available"]
        assert told["status"] == "healthy"
    assert max(waited_s) < 1.2
