"""A real server in a process of its own, talked to over a real socket."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx

START_S: Final = 45.0
STOP_S: Final = 15.0


class ServerProcess:
    """`jackfield serve` with more arguments. A context manager: inside it the server listens.

    `folder` is where it runs and where its output goes.
    """

    def __init__(self, folder: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.url = ""
        self.client = httpx.Client(timeout=60, verify=False)  # no TLS is spoken, and its context takes long
        self._arguments = list(arguments)
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """What it ended with; None while it runs."""
        assert self._process is not None
        return self._process.poll()

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start the process, ready or not."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "output").open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "jackfield", "serve", *self._arguments],
                cwd=self.folder,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Self:
        self._process = self.spawn()
        deadline = time.monotonic() + START_S
        while not (found := re.search(r"https?://127\.0\.0\.1:\d+", self.output())):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                raise RuntimeError(f"The server did not start:\n{self.output()}")
            time.sleep(0.02)
        self.url = found[0]
        self.client.base_url = self.url
        return self

    def terminate(self) -> None:
        """Ask the server to stop, without waiting for it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.client.close()
        self.terminate()
        assert self._process is not None
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise

    def output(self) -> str:
        """Everything the server has written so far: its log, and what it tells whoever started it."""
        return (self.folder / "output").read_text(errors="replace")
