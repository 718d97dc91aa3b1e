"""A real clamd for tests, which knows one harmless virus: the EICAR test string."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.killable import KillableServer
from tests.redis_server import free_port

START_S: Final = 20.0
MAX_BYTES: Final = 1024 * 1024
"""Bytes of the largest file that it takes."""
# In halves, so that no scanner takes this file for what it speaks of.
EICAR: Final = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD" + b"-ANTIVIRUS-TEST-FILE!$H+H*"


def program() -> str:
    """Give the daemon's program; skips the test where there is none."""
    found = shutil.which("clamd", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
    return found or pytest.skip("Needs clamd: apt-get install --no-install-recommends clamav-daemon")


class ClamavServer(KillableServer):
    """A daemon with a socket in `folder` and a port of this machine. Inside the context it answers."""

    name = "clamd"
    start_s = START_S

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port()

    @property
    def tcp(self) -> str:
        """The address of its port, as the plugin's option takes it."""
        return f"tcp://127.0.0.1:{self.port}"

    @property
    def unix(self) -> str:
        """The address of its socket."""
        return f"unix://{self.folder / 'clamd.ctl'}"

    @property
    def is_running(self) -> bool:
        """Whether it was started, and not killed since."""
        return self._process is not None

    def _command(self) -> Sequence[str]:
        return [program(), "--config-file", str(self._configured())]

    def _configured(self) -> Path:
        """Write signatures and settings; gives the file of the latter."""
        signatures = self.folder / "signatures"
        signatures.mkdir(parents=True, exist_ok=True)
        (signatures / "test.ndb").write_text(f"Eicar-Test-Pattern:0:*:{EICAR.hex()}\n")
        settings = {
            "DatabaseDirectory": signatures,
            "TemporaryDirectory": self.folder,
            "LocalSocket": self.folder / "clamd.ctl",
            "FixStaleSocket": "yes",
            "TCPAddr": "127.0.0.1",
            "TCPSocket": self.port,
            "StreamMaxLength": MAX_BYTES,
            "Foreground": "yes",
            "SelfCheck": 0,
            **({"User": "root"} if os.geteuid() == 0 else {}),
        }
        file = self.folder / "clamd.conf"
        file.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        return file

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1.0) as talk:
                talk.sendall(b"zPING\0")
                return talk.recv(16) == b"PONG\0"
        except OSError:
            return False
