"""Servers of tests that run in a process of their own, which may be killed and started again."""

from __future__ import annotations

import os
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self


class KillableServer(ABC):
    """A server in a process, which works in `folder`. Inside the context it answers.

    `start` after `kill` starts it again in the same folder.
    """

    name: ClassVar[str]
    """What it is, for the error that it did not start."""
    start_s: ClassVar[float]
    """Seconds that it may take until it answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    @abstractmethod
    def _command(self) -> Sequence[str]:
        """The program and its arguments."""

    def _environment(self) -> Mapping[str, str]:
        """The variables of the process."""
        return os.environ

    @abstractmethod
    def _answers(self) -> bool:
        """Whether it is ready."""

    def start(self) -> None:
        """Start the process and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command, environment = self._command(), self._environment()
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=output, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + self.start_s
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self.name} did not start:\n{self.output()}")
            time.sleep(0.005)

    def output(self) -> str:
        """What it has printed, each time that it was started."""
        return (self.folder / "output").read_text(errors="replace")

    def kill(self) -> None:
        """End the process at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.kill()
