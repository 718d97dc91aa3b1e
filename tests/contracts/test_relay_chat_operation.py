"""relay-chat for those who run it: health, start-up checks, the log, the example and the page."""

from __future__ import annotations

import re
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from jackfield.audio.sniff import ACCEPTED_MEDIA_TYPES
from tests.contracts.harness import FORM, ROOT, ServerFactory, Tree, TrialServer

EXAMPLE = ROOT / "examples" / "relay-chat.toml"
PAGE = ROOT / "docs" / "relay-chat.md"


# Health


@pytest.mark.contract("RC-14")
def test_health_has_exactly_the_fields_of_the_contract(plain: TrialServer) -> None:
    response = plain.client.get("/health")

    assert response.status_code == 200
    assert response.json() == {"status": "healthy", "service": "chat-api"}


@pytest.mark.contract("RC-14")
def test_a_store_that_cannot_be_reached_makes_the_server_unhealthy(server: TrialServer) -> None:
    with server.told(store="down"):
        response = server.client.get("/health")

    assert (response.status_code, response.json()["status"]) == (503, "unhealthy")
    assert server.client.get("/health").status_code == 200


@pytest.mark.contract("RC-36", "RC-14")
@pytest.mark.parametrize("mode", ["block", "hang"])
def test_health_answers_while_a_model_is_busy(server: TrialServer, mode: str) -> None:
    with ThreadPoolExecutor(1) as pool, server.told(llm=mode):
        before = len(server.journal("llm"))
        message = pool.submit(_patient, server)
        while len(server.journal("llm")) == before:
            time.sleep(0.01)
        seconds = []
        for _ in range(10):
            began = time.perf_counter()
            assert server.client.get("/health").status_code == 200
            seconds.append(time.perf_counter() - began)
        busy = not message.done()
        message.result()

    assert busy
    assert sorted(seconds)[5] < 0.1


def _patient(server: TrialServer) -> None:
    """Ask, and give up after three seconds."""
    with suppress(httpx.ReadTimeout):
        httpx.post(f"{server.url}/chat", data=FORM, timeout=3)


@pytest.mark.contract("RC-51", "RC-36")
def test_fifty_users_at_once_get_their_own_answers(plain: TrialServer) -> None:
    def talk(user: int) -> list[str]:
        with httpx.Client(base_url=plain.url, timeout=30) as client:
            form = {**FORM, "userId": f"user-{user}", "sessionId": f"load-{user}"}
            return [
                client.post("/chat", data={**form, "message": f"user {user}, message {number}"}).json()[
                    "message"
                ]
                for number in range(4)
            ]

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(talk, range(50)))

    assert answers == [[f"user {user}, message {number}" for number in range(4)] for user in range(50)]


# Starting


def failed_start(folder: Path, config: Tree, environment: dict[str, str] | None = None) -> str:
    """Start a server that cannot be, and give what it says: one line for each thing that is wrong."""
    server = TrialServer(folder / "server", config, environment)
    assert server.spawn().wait(60) == 2, server.output()
    assert "Traceback" not in server.output()
    lines = server.output().splitlines()
    assert [line for line in lines if not line.startswith("jackfield: [")] == []
    return "\n".join(lines)


@pytest.mark.contract("RC-45")
def test_a_folder_that_cannot_be_made_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    line = failed_start(tmp_path, {"audio": {"directory": str(tmp_path / "file" / "audio")}})

    assert "[audio.directory]" in line


@pytest.mark.contract("RC-45")
def test_a_store_that_cannot_be_reached_stops_the_start(tmp_path: Path) -> None:
    desk = tmp_path / "server" / "desk"
    desk.mkdir(parents=True)
    (desk / "store.mode").write_text("down")

    assert "[session]" in failed_start(tmp_path, {})


@pytest.mark.contract("RC-45")
def test_voice_without_a_decoder_stops_the_start(tmp_path: Path) -> None:
    shadow = tmp_path / "server" / "site" / "av"
    shadow.mkdir(parents=True)
    (shadow / "__init__.py").write_text("raise ImportError('not installed')")

    line = failed_start(tmp_path, {})

    assert "[stt]" in line
    assert "jackfield[audio]" in line


@pytest.mark.contract("RC-45")
@pytest.mark.parametrize(
    ("config", "setting"),
    [
        ({"llm": None}, "[llm]"),
        ({"llm": {"use": "trial", "options": {"folder": None}}}, "[llm.options.folder]"),
        ({"server": {"tls_cert": "cert.pem"}}, "[server.tls_key]"),
        ({"server": {"host": "0.0.0.0"}, "transport": [{"use": "relay_chat"}]}, "[transport.1]"),
        ({"transport": [{"use": "relay_chat", "auth": "nobody"}]}, "[transport.1"),
    ],
)
def test_a_setting_that_is_missing_is_named(tmp_path: Path, config: Tree, setting: str) -> None:
    assert setting in failed_start(tmp_path, config)


@pytest.mark.contract("RC-45", "RC-24")
def test_the_folder_of_answers_is_made_at_the_start(plain: TrialServer) -> None:
    assert plain.audio.is_dir()


@pytest.mark.contract("RC-53")
def test_text_and_voice_need_no_network(plain: TrialServer, webm: bytes) -> None:
    assert plain.chat(message="Hello").json() == {"message": "Hello", "type": "text"}
    answer = plain.say(webm).json()
    assert plain.client.get(answer["audioUrl"]).status_code == 200

    assert plain.calls_out() == []
    listening = [c for c in psutil.Process(plain.pid).net_connections() if c.status == psutil.CONN_LISTEN]
    assert [c.laddr.port for c in listening] == [httpx.URL(plain.url).port]


# The log


@pytest.mark.contract("RC-37")
def test_every_event_is_a_line_of_the_format(server: TrialServer, webm: bytes) -> None:
    server.chat()
    server.say(webm)
    with server.told(llm="raise"):
        server.chat()

    line = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - [\w.]+ - (INFO|WARNING|ERROR) - .+")
    of_the_log = [text for text in server.output().splitlines() if " - " in text[:60]]
    assert len(of_the_log) > 3
    assert [text for text in of_the_log if not line.fullmatch(text) and not text.startswith(" ")] == []


@pytest.mark.contract("RC-37")
def test_the_log_goes_to_a_file_too(start: ServerFactory) -> None:
    server = start("logged", {"server": {"log_file": "chat_api.log"}})
    response = server.chat()

    log = (server.folder / "chat_api.log").read_text()
    assert response.headers["x-request-id"] in log
    assert log.splitlines()[-1] in server.output()


@pytest.mark.contract("RC-37", "RC-20")
def test_nothing_that_was_said_is_in_the_log(server: TrialServer, webm: bytes) -> None:
    headers = {"Authorization": "Bearer tell-nobody"}
    server.chat(message="tell-nobody", username="tell-nobody", headers=headers)
    server.say(webm)
    for mode in ("fail", "raise", "time out"):
        with server.told(llm=mode):
            server.chat(message="tell-nobody")
    server.client.get("/audio/x?token=tell-nobody")

    log = server.output()
    assert "tell-nobody" not in log
    assert "Will it rain" not in log
    assert "You said" not in log


# The example and the page


@pytest.mark.contract("RC-52", "RC-16")
def test_the_example_listens_on_every_address_and_port_8000(tmp_path: Path) -> None:
    section = tomllib.loads(EXAMPLE.read_text())["server"]
    assert section["host"] == "0.0.0.0"
    assert section["port"] == "${PORT:-8000}"

    with TrialServer(tmp_path / "server", {"server": section}, {"PORT": "0"}) as server:
        listening = [
            c for c in psutil.Process(server.pid).net_connections() if c.status == psutil.CONN_LISTEN
        ]
        assert [c.laddr.ip for c in listening] == ["0.0.0.0"]
        for origin in ("http://localhost:3000", "http://localhost:3001"):
            response = server.chat(headers={"Origin": origin})
            assert response.headers["access-control-allow-origin"] == origin


@pytest.mark.contract("RC-47")
def test_the_page_names_every_format_and_limit() -> None:
    page = PAGE.read_text()

    for media_type in ACCEPTED_MEDIA_TYPES:
        assert f"`{media_type}`" in page
    for limit in ("10 MiB", "300 seconds", "4096 characters", "11 MiB"):
        assert limit in page


@pytest.mark.contract("RC-56")
def test_the_page_names_the_front_ends_setting() -> None:
    assert "REACT_APP_CHAT_API_URL=http://localhost:8000" in PAGE.read_text()


def test_the_form_and_the_errors_are_in_the_api_description(server: TrialServer) -> None:
    paths = server.client.get("/openapi.json").json()["paths"]

    chat = paths["/chat"]["post"]
    form = chat["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert set(form["properties"]) == {*FORM, "audio"}
    assert {"200", "400", "403", "413", "415", "422", "429", "500", "502", "503", "504"} <= set(
        chat["responses"]
    )
    assert "session_busy" in chat["responses"]["429"]["description"]
    assert {"/audio/{filename}", "/sessions/{sessionId}/refresh"} <= set(paths)
    assert server.client.get("/docs").status_code == 200
