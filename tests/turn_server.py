"""A real TURN server for tests: coturn, as it comes from Debian, in a process of its own."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.killable import KillableServer
from tests.redis_server import free_port

START_S: Final = 10.0


def program() -> str:
    """Give the server's program; skips the test where there is none."""
    found = shutil.which("turnserver")
    return found or pytest.skip("Needs coturn: apt-get install --no-install-recommends coturn")


class TurnServer(KillableServer):
    """Relays for whoever has credentials that were made with `secret`. A context manager."""

    name = "coturn"
    start_s = START_S
    secret = "north"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.address = f"127.0.0.1:{free_port()}"

    def _command(self) -> Sequence[str]:
        host, port = self.address.split(":")
        command = [program(), "-n", "--listening-ip", host, "--listening-port", port, "--relay-ip", host]
        command += ["--use-auth-secret", "--static-auth-secret", self.secret, "--realm", "trial"]
        command += ["--allow-loopback-peers", "--no-tls", "--no-dtls", "--no-cli", "--verbose"]
        command += ["--log-file", "stdout", "--pidfile", str(self.folder / "turn.pid")]
        return [*command, "--userdb", str(self.folder / "turn.db")]

    def _answers(self) -> bool:
        listens = r"UDP listener opened on\s*: " + re.escape(self.address)
        return re.search(listens, self.output()) is not None
