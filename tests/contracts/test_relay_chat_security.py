"""relay-chat: rate limits, browsers of other origins, proxies, TLS, and what is bounded."""

from __future__ import annotations

import ssl
import subprocess
from itertools import count
from pathlib import Path
from shutil import which

import httpx
import psutil
import pytest

from tests.contracts.harness import FORM, ServerFactory, TrialServer, refusal

PAGE = "http://localhost:3000"


# Rates


@pytest.fixture(scope="module")
def rationed(start: ServerFactory) -> TrialServer:
    """A server with the rates that it has when nobody says anything."""
    return start("rationed", {"limits": None})


@pytest.fixture
def address() -> str:
    """A client's address that no other test has; the server takes the test for a proxy on its machine."""
    return next(_ADDRESSES)


_ADDRESSES = (f"203.0.113.{n}" for n in count(1))


def statuses(server: TrialServer, requests: int, address: str, **fields: str) -> list[int]:
    headers = {"X-Forwarded-For": address}
    return [
        server.chat(
            headers=headers, **{name: value.format(n=n) for name, value in fields.items()}
        ).status_code
        for n in range(requests)
    ]


@pytest.mark.contract("RC-19")
def test_a_user_may_ask_thirty_times_a_minute(rationed: TrialServer, address: str) -> None:
    codes = statuses(rationed, 31, address, userId="eager", sessionId="eager-{n}")

    assert codes == [200] * 30 + [429]


@pytest.mark.contract("RC-19")
def test_a_session_may_be_asked_twenty_times_a_minute(rationed: TrialServer, address: str) -> None:
    codes = statuses(rationed, 21, address, userId="busy", sessionId="one")

    assert codes == [200] * 20 + [429]


@pytest.mark.contract("RC-19")
def test_an_address_may_ask_sixty_times_a_minute(rationed: TrialServer, address: str) -> None:
    codes = statuses(rationed, 61, address, userId="user-{n}", sessionId="many")

    assert codes == [200] * 60 + [429]


@pytest.mark.contract("RC-19")
def test_who_asks_too_often_is_told_when_to_come_back(rationed: TrialServer, address: str) -> None:
    headers = {"X-Forwarded-For": address}
    statuses(rationed, 30, address, userId="told", sessionId="told-{n}")
    with rationed.noting("llm") as asked:
        response = rationed.chat(userId="told", sessionId="told", headers=headers)

    refusal(response, 429, "rate_limited")
    assert 1 <= int(response.headers["retry-after"]) <= 60
    assert asked == []


@pytest.mark.contract("RC-19")
def test_tokens_cannot_be_guessed_without_end(start: ServerFactory, address: str) -> None:
    config = {
        "limits": {"address_per_minute": 5},
        "auth": {"wallets": {"use": "trial"}},
        "transport": [{"use": "relay_chat", "auth": "wallets"}],
    }
    server = start("guessing", config)
    guesses = [
        server.chat(headers={"Authorization": f"Bearer {n}", "X-Forwarded-For": address}).status_code
        for n in range(7)
    ]

    assert guesses == [401] * 5 + [429] * 2
    known = {"Authorization": "Bearer token-of-0x1234", "X-Forwarded-For": address}
    assert server.chat(headers=known).status_code == 200


@pytest.mark.contract("RC-46", "RC-19")
def test_forwarded_headers_of_anybody_but_a_configured_proxy_do_not_count(start: ServerFactory) -> None:
    config = {"server": {"trusted_proxies": ["192.0.2.1"]}, "limits": {"address_per_minute": 3}}
    server = start("proxied", config)
    codes = [server.chat(headers={"X-Forwarded-For": f"203.0.113.{n}"}).status_code for n in range(4)]

    assert codes == [200] * 3 + [429]


# Browsers


@pytest.fixture(scope="module")
def shared(start: ServerFactory) -> TrialServer:
    """A server that one web page may use."""
    return start("shared", {"server": {"cors_origins": [PAGE, "http://localhost:3001"]}})


@pytest.mark.contract("RC-16")
def test_a_configured_page_may_post_with_credentials(shared: TrialServer) -> None:
    asking = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    preflight = shared.client.options("/chat", headers=asking)
    response = shared.chat(headers={"Origin": PAGE})

    assert preflight.status_code == 200
    assert "POST" in preflight.headers["access-control-allow-methods"]
    for answer in (preflight, response):
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert answer.headers["access-control-allow-credentials"] == "true"


@pytest.mark.contract("RC-16")
def test_any_other_page_gets_no_leave(shared: TrialServer) -> None:
    for origin in ("https://evil.example", "http://localhost:3002", "null"):
        response = shared.chat(headers={"Origin": origin})
        assert "access-control-allow-origin" not in response.headers


@pytest.mark.contract("RC-16")
def test_errors_can_be_read_by_a_configured_page(shared: TrialServer) -> None:
    response = shared.chat(type="fax", headers={"Origin": PAGE})

    assert response.status_code == 422
    assert response.headers["access-control-allow-origin"] == PAGE


@pytest.mark.contract("RC-16")
def test_without_configuration_no_page_gets_leave(server: TrialServer) -> None:
    response = server.chat(headers={"Origin": PAGE})

    assert not [name for name in response.headers if name.startswith("access-control-")]


@pytest.mark.contract("RC-16")
def test_every_origin_never_comes_with_credentials(start: ServerFactory) -> None:
    server = start("open", {"server": {"cors_origins": ["*"]}})
    response = server.chat(headers={"Origin": "https://anywhere.example", "Cookie": "a=b"})

    assert response.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in response.headers


@pytest.mark.contract("RC-16", "RC-45")
def test_credentials_for_every_origin_stop_the_start(tmp_path: Path) -> None:
    config = {"server": {"cors_origins": ["*"], "cors_credentials": True}}

    assert "server.cors_credentials" in refused_start(TrialServer(tmp_path / "server", config))


def refused_start(server: TrialServer) -> str:
    """Start a server that cannot be, and give what it says."""
    assert server.spawn().wait(60) == 2
    return server.output()


# TLS


@pytest.mark.contract("RC-46")
@pytest.mark.skipif(which("openssl") is None, reason="openssl makes the certificate")
def test_it_speaks_tls_with_a_certificate_and_a_key(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    kind = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost"
    more = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", *kind.split(), *more], check=True, capture_output=True)
    config = {"server": {"tls_cert": str(certificate), "tls_key": str(key)}}

    with TrialServer(tmp_path / "server", config) as server:
        trust = ssl.create_default_context(cafile=str(certificate))
        response = httpx.post(f"{server.url}/chat", data=FORM, verify=trust)

    assert server.url.startswith("https://")
    assert response.json()["type"] == "text"


# Bounds


@pytest.mark.contract("RC-49")
def test_sessions_beyond_the_bound_of_the_store_push_out_the_oldest(start: ServerFactory) -> None:
    memory = {"use": "memory", "options": {"folder": None, "max_sessions": 10}}
    server = start("bounded", {"session": memory})
    sizes = []
    for number in range(40):
        server.chat(sessionId=f"session-{number:02}")
        sizes.append(server.figures()["jackfield_store_bytes"])

    assert server.window(sessionId="session-00") is None
    assert server.window(sessionId="session-39") is not None
    assert max(sizes[20:]) <= 1.1 * sizes[9]


@pytest.mark.contract("RC-35", "RC-49")
def test_the_number_of_open_connections_and_files_stays_constant(server: TrialServer, webm: bytes) -> None:
    process = psutil.Process(server.pid)

    def ask(times: int) -> int:
        for number in range(times):
            server.chat(sessionId=f"open-{number}")
            url = server.say(webm, sessionId=f"open-{number}").json()["audioUrl"]
            server.client.get(url)
        return process.num_fds()

    before = ask(5)

    assert ask(40) <= before + 1
    assert len(process.net_connections(kind="inet")) <= 3
