"""smart-proxy, section 11: the documented commands, run as they stand in docs/smart-proxy.md."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from jackfield.config import read_config
from tests.contracts.backend import Backend, Reply, before, proxy_config
from tests.contracts.harness import ROOT, ServerFactory, TrialServer

PAGE = (ROOT / "docs" / "smart-proxy.md").read_text()
COMMANDS = dict(re.findall(r"<!-- example: (\w+) -->\n```bash\n(.*?)```", PAGE, re.DOTALL))

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="the examples are curl commands")


def run(name: str, server: TrialServer, folder: Path) -> str:
    """Run a documented command against a server, and give what it prints."""
    shell = ["bash", "-ec", COMMANDS[name].replace("http://127.0.0.1:8001", server.url)]
    return subprocess.run(shell, cwd=folder, check=True, capture_output=True, text=True, timeout=30).stdout


@pytest.fixture(scope="module")
def alone(start: ServerFactory) -> TrialServer:
    return start("alone", proxy_config("http://127.0.0.1:9"))


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with Backend() as backend:
        yield backend


@needs_curl
@pytest.mark.contract("SP-06")
def test_the_health_command(alone: TrialServer, tmp_path: Path) -> None:
    said = '{"status":"healthy","backend_client":{"url":"http://127.0.0.1:9","available":false}}'
    assert run("health", alone, tmp_path) == said


@needs_curl
@pytest.mark.contract("SP-04")
def test_the_text_command(alone: TrialServer, tmp_path: Path) -> None:
    head, body = run("text", alone, tmp_path).replace("\r", "").split("\n\n")

    assert head.startswith("HTTP/1.1 200 OK\n")
    assert "\nx-jackfield-source: fallback\n" in f"{head}\n"
    text = "The assistant is not available right now. Please try again in a moment."
    assert body == f'{{"message":"{text}","type":"text"}}'


@needs_curl
@pytest.mark.contract("SP-08", "SP-10")
def test_the_voice_command(backend: Backend, start: ServerFactory, webm: bytes, tmp_path: Path) -> None:
    proxy = before(backend, start, "proxy")
    (tmp_path / "voice.webm").write_bytes(webm)
    with backend.answering(Reply(body={"message": "said", "type": "voice", "audioUrl": "/a.mp3"})):
        answer = json.loads(run("voice", proxy, tmp_path))

    assert (answer["message"], answer["type"]) == ("said", "voice")
    assert re.fullmatch(r"/api/voice/[A-Za-z0-9_-]{22,64}\.mp3", answer["audioUrl"])
    assert backend.seen[-1].audio == ("voice.webm", "audio/webm", webm)


@pytest.mark.contract("SP-13")
def test_the_frames_of_the_websocket(backend: Backend, start: ServerFactory) -> None:
    proxy = before(backend, start, "proxy")
    sent = {"message": "Hello", "type": "text", "sessionId": "session123", "id": "m1"}
    reply = Reply(body={"message": "AI response text", "type": "text"})
    with backend.answering(reply), connect(f"{proxy.url.replace('http', 'ws')}/ws/12345") as socket:
        socket.send(json.dumps(sent))
        assert json.loads(socket.recv(5)) == {**sent, "message": "AI response text"}
        socket.send("not json")
        assert json.loads(socket.recv(5)) == {
            "type": "error",
            "code": "invalid_json",
            "detail": "The frame is not a JSON object.",
        }


@pytest.mark.contract("SP-26", "SP-17")
def test_the_example_listens_on_port_8001_for_a_page_on_port_3000() -> None:
    config = read_config((ROOT / "examples" / "smart-proxy.toml").read_text(), {})
    assert (config.server.host, config.server.port) == ("127.0.0.1", 8001)
    assert list(config.server.cors_origins) == ["http://localhost:3000"]
    assert config.transport[0].options["backend"]["url"] == "http://127.0.0.1:8000"
