"""A real TURN server for tests: coturn, as it comes from Debian, in a process of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pytest

from tests.redis_server import free_port

START_S: Final = 10.0


def program() -> str:
    """Give the server's program; skips the test where there is none."""
    found = shutil.which("turnserver")
    return found or pytest.skip("Needs coturn: apt-get install --no-install-recommends coturn")


class TurnServer:
    """Relays for whoever has credentials that were made with `secret`. A context manager."""

    secret = "north"

    def __init__(self, folder: Path) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self._log = folder / "turn.log"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        host, port = self.address.split(":")
        command = [program(), "-n", "--listening-ip", host, "--listening-port", port, "--relay-ip", host]
        command += ["--use-auth-secret", "--static-auth-secret", self.secret, "--realm", "trial"]
        command += ["--allow-loopback-peers", "--no-tls", "--no-dtls", "--no-cli", "--verbose"]
        command += ["--log-file", "stdout", "--pidfile", str(self._folder / "turn.pid")]
        command += ["--userdb", str(self._folder / "turn.db")]
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + START_S
        while not re.search(r"UDP listener opened on\s*: " + re.escape(self.address), self.output()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                raise RuntimeError(f"coturn did not start:\n{self.output()}")
            time.sleep(0.02)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait()

    def output(self) -> str:
        """What it logged."""
        return self._log.read_text(errors="replace")
