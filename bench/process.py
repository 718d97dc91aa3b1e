"""A server that is measured: a process of its own."""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
TRANSPORTS: Final = HERE / "transports"
"""Where the doors for measuring are."""


@dataclass(frozen=True)
class Server:
    """A server that listens."""

    port: int
    process_id: int

    def cpu_s(self) -> float:
        """Seconds of processor time that it has used; not a number where that cannot be told."""
        if sys.platform != "linux":
            return math.nan
        return time.clock_gettime(~self.process_id << 3 | 2)  # see clock_getcpuclockid(3)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(*folders: Path) -> dict[str, str]:
    """That of this process, where modules are found in these folders too."""
    paths = [*map(str, folders), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def serving(config: Path) -> Callable[[int], Sequence[str]]:
    """The arguments that start Jackfield."""
    return lambda port: ["-m", "jackfield", "serve", str(config), "--port", str(port)]


@contextmanager
def running(
    arguments: Callable[[int], Sequence[str]], folder: str, *paths: Path, every_s: float = 0.05
) -> Iterator[Server]:
    """Run Python in `folder` with the arguments for a port, until left; returns once something listens there.

    Modules are found in `paths` too. Looks every so many seconds whether it listens.
    """
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, *arguments(port)], env=environment(*paths), cwd=folder, stdout=subprocess.DEVNULL
    )
    try:
        _wait_for(port, process, every_s)
        yield Server(port, process.pid)
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(port: int, process: subprocess.Popen[bytes], every_s: float) -> None:
    """Return once the server listens; waits for ten seconds."""
    for _ in range(round(10 / every_s)):
        if process.poll() is not None:
            raise SystemExit(f"a server ended with exit code {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(every_s)
    raise SystemExit("a server does not listen")
