"""smart-proxy, sections 5.3, 5.4, 9 and 10: the fallback's own assistant, limits, figures and leaks."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import psutil
import pytest

from jackfield_transport_smart_proxy import plugin_info
from jackfield_transport_smart_proxy.options import SmartProxyOptions
from tests.contracts.backend import Backend, Reply, before, proxy_config
from tests.contracts.harness import FORM, ServerFactory, TrialServer, refusal
from tests.redis_server import RedisServer

NOBODY = "http://127.0.0.1:9"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with Backend() as backend:
        yield backend


@pytest.fixture(scope="module")
def own(start: ServerFactory) -> TrialServer:
    """A proxy without a backend, whose own assistant answers."""
    return start("own", proxy_config(NOBODY, fallback={"use": "assistant"}))


@pytest.mark.contract("SP-14", "SP-27")
def test_the_own_assistant_remembers_each_user_and_each_session(own: TrialServer) -> None:
    said = [
        {"message": "one", "userId": "ann", "sessionId": "s1"},
        {"message": "two", "userId": "ann", "sessionId": "s1"},
        {"message": "three", "userId": "ann", "sessionId": "s2"},
        {"message": "four", "userId": "bob", "sessionId": "s1"},
    ]
    with own.noting("llm") as notes:
        for fields in said:
            answer = own.chat(**fields)
            assert answer.json() == {"message": f"You said: {fields['message']}", "type": "text"}
            assert answer.headers["x-jackfield-source"] == "fallback"
    told = [[text for _, text in note["messages"][1:]] for note in notes if note["event"] == "asked"]
    assert told == [["one"], ["one", "You said: one", "two"], ["three"], ["four"]]


@pytest.mark.contract("SP-04", "SP-11")
def test_the_own_assistant_hears_and_speaks(own: TrialServer, webm: bytes) -> None:
    answer = own.say(webm)
    assert answer.json()["type"] == "voice"
    assert answer.json()["audioUrl"].startswith("/api/voice/")
    clip = own.client.get(answer.json()["audioUrl"])
    assert (clip.status_code, clip.headers["content-type"]) == (200, "audio/mpeg")


@pytest.mark.contract("SP-15")
def test_a_failing_assistant_is_an_error_of_the_usual_shape(own: TrialServer) -> None:
    with own.told(llm="fail"):
        refusal(own.chat(), 502, "llm_failed")


@pytest.mark.contract("SP-14")
def test_while_the_backend_serves_nothing_is_stored(backend: Backend, start: ServerFactory) -> None:
    proxy = before(backend, start, "both", fallback={"use": "assistant"})
    with proxy.noting("llm") as notes:
        assert proxy.chat(message="to the backend").headers["x-jackfield-source"] == "upstream"
    assert notes == []
    with backend.answering(Reply(503)), proxy.noting("llm") as notes:
        assert (
            proxy.chat(message="to the fallback", sessionId="fresh").json()["message"].startswith("You said")
        )
    asked = [note["messages"] for note in notes if note["event"] == "asked"]
    assert [[text for _, text in messages[1:]] for messages in asked] == [["to the fallback"]]


@pytest.mark.contract("SP-04")
def test_the_placeholder_can_be_another_text(start: ServerFactory) -> None:
    proxy = start("words", proxy_config(NOBODY, fallback={"text": "Back soon."}))
    assert proxy.chat().json() == {"message": "Back soon.", "type": "text"}


@pytest.mark.contract("SP-22")
def test_sessions_may_be_in_redis_and_names_of_spoken_answers_too(
    backend: Backend, start: ServerFactory, redis: RedisServer, webm: bytes
) -> None:
    store = {"use": "redis", "options": {"url": redis.url, "folder": None}}
    options = {"fallback": {"use": "assistant"}, "config": {"session": store}}
    proxies = [before(backend, start, name, **options) for name in ("redis-1", "redis-2")]
    backend.files["/a.mp3"] = b"ID3 and more of it"
    with backend.answering(Reply(body={"message": "said", "type": "voice", "audioUrl": "/a.mp3"})):
        url = proxies[0].say(webm).json()["audioUrl"]
    assert [proxy.client.get(url).status_code for proxy in reversed(proxies)] == [200, 200]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.mark.contract("SP-23")
def test_rates_are_limited_as_in_relay_chat_where_that_is_on(start: ServerFactory) -> None:
    limits = {"user_per_minute": 3, "session_per_minute": 1000, "address_per_minute": 1000}
    limited = start("limited", proxy_config(NOBODY, {"limits": limits}))
    assert [limited.chat().status_code for _ in range(3)] == [200] * 3
    refused = limited.chat()
    refusal(refused, 429, "rate_limited")
    assert int(refused.headers["retry-after"]) > 0

    free = start("unlimited", proxy_config(NOBODY, {"limits": {**limits, "enabled": False}}))
    assert {free.chat().status_code for _ in range(6)} == {200}


@pytest.mark.contract("SP-17")
def test_pages_of_configured_origins_alone_may_read(start: ServerFactory) -> None:
    proxy = start("cors", proxy_config(NOBODY, {"server": {"cors_origins": ["http://localhost:3000"]}}))
    ours = proxy.chat(headers={"Origin": "http://localhost:3000"})
    assert ours.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "X-Jackfield-Source" in ours.headers["access-control-expose-headers"]
    assert "access-control-allow-origin" not in proxy.chat(headers={"Origin": "https://evil.example"}).headers


@pytest.mark.contract("SP-24")
def test_what_the_proxy_does_is_in_the_figures(start: ServerFactory) -> None:
    with Backend() as backend:
        proxy = before(backend, start, "counted", backend={"probe_interval_s": 60})
        figures = proxy.figures()
        available = 'jackfield_backend_available{mount="/"}'
        forwarded = 'jackfield_proxy_seconds_count{mount="/"}'
        fallen = 'jackfield_fallback_total{mount="/"}'
        assert figures[available] == 1
        proxy.chat()
        with backend.answering(Reply(503)):
            proxy.chat()
        now = proxy.figures()
    assert now[available] == 0
    assert now[forwarded] - figures[forwarded] == 2
    assert now[fallen] - figures.get(fallen, 0) == 1
    assert now['jackfield_messages_total{transport="smart_proxy",type="text"}'] > 0
    assert now['jackfield_requests_total{status="200",transport="smart_proxy"}'] > 0


@pytest.mark.contract("SP-21")
@pytest.mark.timeout(120)
def test_many_messages_leave_no_memory_no_socket_and_no_file_behind(
    backend: Backend, start: ServerFactory
) -> None:
    """The long form, with ten thousand messages, is `python -m soak.proxy`."""
    proxy = before(backend, start, "tireless", backend={"probe_interval_s": 60})
    process = psutil.Process(proxy.pid)
    with httpx.Client(base_url=proxy.url) as client:
        for _ in range(300):  # whatever is made once
            client.post("/chat", data=FORM)
        memory, files = process.memory_info().rss, process.num_fds()
        for _ in range(700):
            assert client.post("/chat", data=FORM).headers["x-jackfield-source"] == "upstream"
        assert process.memory_info().rss - memory < 5 * MIB
        assert process.num_fds() <= files + 2
    assert proxy.leftovers() == []


@pytest.mark.contract("SP-26")
def test_the_backend_is_looked_for_on_port_8000() -> None:
    options = SmartProxyOptions()
    assert options.backend.url == "http://127.0.0.1:8000"
    assert (options.backend.probe_path, options.backend.probe_interval_s) == ("/health", 3)
    assert (options.backend.connect_timeout_s, options.backend.timeout_s) == (2, 60)


@pytest.mark.parametrize(
    "url", ["", "8000", "ftp://x", "http://", "http://x:0", "http://x:99999", "http://x/?a=1", "http://x/#a"]
)
def test_an_address_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"The address is not like http://127\.0\.0\.1:8000"):
        SmartProxyOptions.model_validate({"backend": {"url": url}})


@pytest.mark.parametrize(
    ("url", "network"),
    [
        ("http://127.0.0.1:1", False),
        ("http://localhost", False),
        ("http://[::1]:1", False),
        ("http://x", True),
    ],
)
def test_only_a_backend_elsewhere_needs_the_network(url: str, network: bool) -> None:
    options = SmartProxyOptions.model_validate({"backend": {"url": url}})
    assert plugin_info().capabilities(options).network is network
