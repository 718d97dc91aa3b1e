"""`jackfield serve --reload`."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from tests.redis_server import free_port

pytestmark = pytest.mark.timeout(120)

CONFIG = """
[llm]
use = "echo"
options.prefix = "${PREFIX:-first: }"
[[transport]]
use = "relay_chat"
"""
WAIT_S = 50.0


class Developed:
    """A server that is being developed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "trial.toml"
        self.file.write_text(CONFIG)
        self.port = free_port()
        command = [sys.executable, "-m", "jackfield", "serve", "trial.toml", "--port", str(self.port)]
        with (folder / "output").open("wb") as output:
            self.process = subprocess.Popen(
                [*command, "--reload"], cwd=folder, stdout=output, stderr=subprocess.STDOUT
            )

    def wait_for(self, text: str, times: int = 1) -> None:
        """Wait until it has said something so often."""
        deadline = time.monotonic() + WAIT_S
        while (said := (self.folder / "output").read_text()).count(text) < times:
            assert time.monotonic() < deadline, said
            assert self.process.poll() is None, said
            time.sleep(0.05)

    def answer(self) -> str:
        fields = {"message": "hi", "type": "text", "sessionId": "s", "userId": "u", "username": "x"}
        response = httpx.post(f"http://127.0.0.1:{self.port}/chat", data=fields, timeout=20)
        return str(response.json()["message"])


@contextmanager
def developed(folder: Path) -> Iterator[Developed]:
    server = Developed(folder)
    try:
        server.wait_for("Listening on")
        yield server
    finally:
        server.process.terminate()
        server.process.wait(20)


@pytest.mark.contract("PI-45")
def test_a_changed_configuration_starts_the_server_anew(tmp_path: Path) -> None:
    with developed(tmp_path) as server:
        assert server.answer() == "first: hi"
        server.file.write_text(CONFIG.replace("first", "second"))
        server.wait_for("Listening on", 2)
        assert server.answer() == "second: hi"
        (tmp_path / ".env").write_text('PREFIX="third: "\n')
        server.wait_for("Listening on", 3)
        assert server.answer() == "third: hi"


@pytest.mark.contract("PI-45")
def test_changed_code_starts_the_server_anew_and_what_is_hidden_does_not(tmp_path: Path) -> None:
    with developed(tmp_path) as server:
        (tmp_path / ".cache").mkdir()
        (tmp_path / ".cache" / "tool.py").write_text("")
        (tmp_path / "plugins").mkdir()
        (tmp_path / "plugins" / "mine.py").write_text("")
        server.wait_for("Changed: mine.py. Starting anew.")
        server.wait_for("Listening on", 2)


def test_a_mistake_is_told_and_mending_it_starts_the_server(tmp_path: Path) -> None:
    with developed(tmp_path) as server:
        server.file.write_text("[llm]\nuse = 'ecko'\n")
        server.wait_for("jackfield: [")
        server.file.write_text(CONFIG)
        server.wait_for("Listening on", 2)
        assert server.answer() == "first: hi"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_told_to_stop_it_leaves_no_server_behind(tmp_path: Path, number: signal.Signals, code: int) -> None:
    with developed(tmp_path) as server:
        (child,) = psutil.Process(server.process.pid).children()
        server.process.send_signal(number)
        assert server.process.wait(20) == code
        assert not child.is_running()
