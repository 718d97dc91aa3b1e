"""The cluster of examples/cluster, started by its one command."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil
import pytest

from tests.redis_server import free_port

START_S: Final = 120.0
STOP_S: Final = 30.0
REPLICAS: Final = ("one", "two", "three")
TOKENS: Final[Mapping[str, str]] = {
    "default": "cluster-token-of-the-default-user",
    "ann": "cluster-token-of-ann-and-no-other",
    "bob": "cluster-token-of-bob-and-no-other",
}
"""Of each user."""
_START: Final = Path(__file__).parents[1] / "examples" / "cluster" / "start.py"


def needs_haproxy() -> None:
    """Skip the test where there is no balancer."""
    if shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin") is None:
        pytest.skip("Needs HAProxy: apt-get install --no-install-recommends haproxy")


class ClusterProcess:
    """The cluster over two stores. Inside the context it serves at `url`; its output goes to `folder`."""

    def __init__(self, folder: Path, *, database_url: str, redis_url: str) -> None:
        self.folder = folder
        self.ports = [free_port() for _ in range(4)]
        """The balancer's, and those of the replicas."""
        self.url = f"http://127.0.0.1:{self.ports[0]}"
        self._environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self._environment |= {f"{user.upper()}_TOKEN": token for user, token in TOKENS.items()}
        self._environment |= {
            "API_TOKEN": TOKENS["default"],
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "USER_PER_MINUTE": "1000000",
            "SESSION_PER_MINUTE": "1000000",
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._children: list[psutil.Process] = []

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        port, *replicas = map(str, self.ports)
        command = [sys.executable, str(_START), "--port", port, "--replica-ports", *replicas]
        with (self.folder / "output").open("wb") as output:
            self._process = subprocess.Popen(
                command, cwd=self.folder, env=self._environment, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            self.wait_for("| ready: ")
        except BaseException:
            self._process.kill()
            raise
        return self

    def output(self) -> str:
        """Everything that was printed so far."""
        return (self.folder / "output").read_text(errors="replace")

    def wait_for(self, text: str, times: int = 1) -> None:
        """Wait until a text was printed so many times."""
        assert self._process is not None
        deadline = time.monotonic() + START_S
        while self.output().count(text) < times:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The cluster never said {text!r} {times} times:\n{self.output()}")
            time.sleep(0.02)

    def pid(self, name: str) -> int:
        """The process of a replica, or of the `balancer`, that was started last."""
        return int(re.findall(rf"\| {name} starts: port \d+, process (\d+)", self.output())[-1])

    def port(self, name: str) -> int:
        """Of a replica."""
        return self.ports[1 + REPLICAS.index(name)]

    def tell(self, name: str, number: signal.Signals) -> None:
        """Send a replica, or the `balancer`, a signal."""
        os.kill(self.pid(name), number)

    def roll(self) -> None:
        """Have the replicas restarted one after the other."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def stop(self) -> int:
        """Press Ctrl-C and wait; gives the exit code."""
        assert self._process is not None
        self._children = psutil.Process(self._process.pid).children(recursive=True)
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(STOP_S)

    def left(self) -> list[psutil.Process]:
        """Processes that are there although everything was stopped."""
        return [child for child in self._children if child.is_running()]

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            try:
                self.stop()
            finally:
                for child in self.left():
                    child.kill()
                self._process.kill()
