"""A real server in a process of its own, and what the contract tests do with it over a real socket."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx

from tests.server_process import ServerProcess

PLUGINS: Final = Path(__file__).parent / "plugins"
ROOT: Final = Path(__file__).parents[2]
WAIT_S: Final = 8.0

WATCH: Final = """
import os, sys

def watch(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = str(arguments[1][0])
    elif event == "socket.getaddrinfo":
        host = str(arguments[0])
    else:
        return
    if host not in ("None", "localhost", "::1") and not host.startswith("127."):
        with open(os.environ["TRIAL_CALLS"], "a") as calls:
            calls.write(host + "\\n")

sys.addaudithook(watch)
"""
"""Runs at the start of every server: notes each address beyond this machine that it looks up or calls."""

Tree = dict[str, Any]  # a configuration, or parts of one, as TOML has it

CLIP_NAME: Final = re.compile(r"response_[A-Za-z0-9_-]{22,64}\.(mp3|ogg|wav|webm)")

FORM: Final = {
    "message": "What are today's F1 predictions?",
    "type": "text",
    "sessionId": "session_1703123456789_0.123456789",
    "userId": "0x1234",
    "username": "CryptoRacer123",
}


class TrialServer(ServerProcess):
    """A server with plugins that do as the test says.

    `config` is laid over a configuration in which every provider is a trial plugin and no rate is limited.
    """

    def __init__(
        self, folder: Path, config: Tree | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self.desk = folder / "desk"
        self.temporary = folder / "tmp"
        self.audio = folder / "audio"
        self._file = folder / "jackfield.toml"
        self._config = merged(trial_config(self), config or {})
        super().__init__(folder, [str(self._file)], server_environment(folder, environment or {}))

    def spawn(self) -> subprocess.Popen[bytes]:
        """Write the configuration, install the trial plugins and start the process, ready or not."""
        for place in (self.desk, self.temporary):
            place.mkdir(parents=True, exist_ok=True)
        self._file.write_text("".join(f"{key} = {toml(value)}\n" for key, value in self._config.items()))
        install_trial_plugins(self.folder)
        return super().spawn()

    def chat(self, **changes: Any) -> httpx.Response:
        """Post a text message; `changes` are fields, None leaves one out, `headers` are headers."""
        headers = changes.pop("headers", None)
        fields = {name: value for name, value in {**FORM, **changes}.items() if value is not None}
        return self.client.post("/chat", files={k: (None, v) for k, v in fields.items()}, headers=headers)

    def say(self, sound: bytes, media_type: str | None = "audio/webm", **changes: Any) -> httpx.Response:
        """Post a voice message as a browser does."""
        headers = changes.pop("headers", None)
        fields = {**FORM, "message": "[Voice Message]", "type": "voice", **changes}
        files: dict[str, Any] = {k: (None, v) for k, v in fields.items() if v is not None}
        files["audio"] = ("voice.webm", sound, media_type) if media_type else (None, sound)
        return self.client.post("/chat", files=files, headers=headers)

    def window(self, **changes: str) -> Tree | None:
        """What is stored of a conversation."""
        params = {"userId": FORM["userId"], "sessionId": FORM["sessionId"], **changes}
        window: Tree | None = self.client.get("/desk/window", params=params).raise_for_status().json()
        return window

    @contextmanager
    def told(self, **modes: str) -> Iterator[None]:
        """Have trial plugins behave in a way: `told(llm="fail")`."""
        paths = {self.desk / f"{part}.mode": mode for part, mode in modes.items()}
        for path, mode in paths.items():
            new = path.with_suffix(".new")
            new.write_text(mode)
            new.rename(path)
        try:
            yield
        finally:
            for path in paths:
                path.unlink()

    def journal(self, part: str) -> list[Tree]:
        """What happened to a trial plugin so far."""
        path = self.desk / f"{part}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @contextmanager
    def noting(self, part: str) -> Iterator[list[Tree]]:
        """A list that, after the block, holds what happened to a plugin in it."""
        before = len(self.journal(part))
        notes: list[Tree] = []
        yield notes
        notes += self.journal(part)[before:]

    def figures(self) -> dict[str, float]:
        """Everything on /metrics, by name and labels as they are written there."""
        lines = self.client.get("/metrics").raise_for_status().text.splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def leftovers(self) -> list[str]:
        """Files that only an upload can have left behind; there are none, ever."""
        return [str(path) for path in self.temporary.rglob("*")]

    def calls_out(self) -> list[str]:
        """Addresses beyond this machine that the server tried to reach."""
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def clips(self) -> list[Path]:
        """Stored spoken answers, and anything else in their folder."""
        return sorted(self.audio.iterdir())


ServerFactory = Callable[..., TrialServer]
"""Starts a server of a name and a configuration, or gives the one that was started before."""


def trial_config(server: TrialServer) -> Tree:
    """Every part a trial plugin, no rate limited."""
    trial = {"use": "trial", "options": {"folder": str(server.desk)}}
    plenty = 1_000_000
    return {
        "server": {"host": "127.0.0.1", "port": 0},
        "llm": trial,
        "stt": trial,
        "tts": trial,
        "session": {**trial, "ttl_seconds": 1800},
        "audio": {"directory": str(server.audio)},
        "limits": {"user_per_minute": plenty, "session_per_minute": plenty, "address_per_minute": plenty},
        "transport": [{"use": "relay_chat"}, {"use": "trial_desk"}],
        "extension": [{"use": "trial_scanner", "options": {"folder": str(server.desk)}}],
    }


def merged(under: Tree, over: Tree) -> Tree:
    """Lay one configuration over another: tables are merged, everything else, None too, replaces."""
    result = dict(under)
    for key, value in over.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return {key: value for key, value in result.items() if value is not None}


def toml(value: object) -> str:
    """Write a value as TOML, tables inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


def install_trial_plugins(folder: Path) -> None:
    """Put the trial plugins, and what watches for calls to the outside, where the server will find them."""
    distribution = folder / "site" / "jackfield_trial-1.0.dist-info"
    distribution.mkdir(parents=True, exist_ok=True)
    (distribution / "METADATA").write_text("Metadata-Version: 2.1\nName: jackfield-trial\nVersion: 1.0\n")
    shutil.copy(PLUGINS / "entry_points.txt", distribution)
    (folder / "site" / "sitecustomize.py").write_text(WATCH)


def server_environment(folder: Path, more: Mapping[str, str]) -> dict[str, str]:
    """An environment in which the trial plugins are found and nothing of the developer's is set."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    inherited = os.environ.get("PYTHONPATH")
    sources = [folder / "site", ROOT, *([inherited] if inherited else [])]
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(map(str, sources)),
        "TMPDIR": str(folder / "tmp"),
        "TRIAL_CALLS": str(folder / "calls"),
        "PYTHONUNBUFFERED": "1",
        **more,
    }


def until(true: Callable[[], object], what: str) -> None:
    """Wait for something that another process does in its own time."""
    deadline = time.monotonic() + WAIT_S
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"It did not happen within {WAIT_S:g} s: {what}")
        time.sleep(0.02)


def refusal(response: httpx.Response, status: int, code: str) -> Tree:
    """Check that a response is an error of the one shape, and give its body."""
    assert (response.status_code, response.json().get("code")) == (status, code), response.text
    body: Tree = response.json()
    assert set(body) == {"detail", "code", "request_id"} | ({"errors"} if status == 422 else set())
    assert body["request_id"] == response.headers["x-request-id"]
    assert isinstance(body["detail"], str)
    assert body["detail"]
    assert response.headers["content-type"] == "application/json"
    assert "secret-123" not in response.text
    assert "Traceback" not in response.text
    return body


def raw_request(server: TrialServer, head: str, body: Iterable[bytes]) -> tuple[bytes, int]:
    """Send bytes as they are until the server answers or hangs up; gives its answer and the bytes it took.

    The connection is closed by the server, or after it has been quiet for a moment.
    """
    url = httpx.URL(server.url)
    sent = 0
    answer = bytearray()
    with socket.create_connection((url.host, url.port or 80), timeout=5) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n")
        with suppress(ConnectionError, TimeoutError):
            for chunk in body:
                connection.sendall(chunk)
                sent += len(chunk)
                if select.select([connection], [], [], 0)[0]:
                    break
        with suppress(ConnectionError, TimeoutError):
            while data := connection.recv(65536):
                answer += data
                if b"\r\n\r\n" in answer and b"}" in answer:
                    break
    return bytes(answer), sent
