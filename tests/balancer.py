"""A real HAProxy before replicas of a test, as examples/cluster has it."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.cluster_process import needs_haproxy
from tests.killable import KillableServer
from tests.redis_server import free_port

_START_S: Final = 10.0
_EXAMPLE: Final = Path(__file__).parents[1] / "examples" / "cluster" / "haproxy.cfg"


class Balancer(KillableServer):
    """Sends each request, and each WebSocket, to the next of the replicas on these ports.

    Inside the context it listens at `url`. Answers say in `X-Served-By` which replica gave them: `replica-0`
    is the first one's name. The test is skipped where there is no HAProxy.
    """

    name = "HAProxy"
    start_s = _START_S

    def __init__(self, folder: Path, ports: Sequence[int]) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._ports = ports

    def _command(self) -> Sequence[str]:
        needs_haproxy()
        settings = self.folder / "haproxy.cfg"
        settings.write_text(_before(self._ports))
        return ["haproxy", "-db", "-f", str(settings)]

    def _environment(self) -> Mapping[str, str]:
        return {"PATH": f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin", "PORT": str(self.port)}

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
            return True
        return False


def _before(ports: Sequence[int]) -> str:
    """The example's settings with other replicas, which it names last."""
    lines = [line for line in _EXAMPLE.read_text().splitlines() if not line.startswith("    server ")]
    lines += [f"    server replica-{number} 127.0.0.1:{port}" for number, port in enumerate(ports)]
    return "\n".join([*lines, ""])
