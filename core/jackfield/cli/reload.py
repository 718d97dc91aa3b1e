"""`jackfield serve --reload`: the server in a process of its own, started anew when a file changes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

import click

_LOOK_S: Final = 0.3
"""Between two looks at the files."""
_INTERRUPTED: Final = 130
"""The exit code of whoever ends by Ctrl-C."""
_MARK: Final = "--reload"

Times = Mapping[Path, int]
"""When each file was changed, in nanoseconds."""


def serve_reloading(arguments: Sequence[str], settings: Sequence[Path]) -> int:
    """Serve until told to stop, and give the exit code.

    `arguments` are those of the command; `settings` are files that are watched, there or not, beside the
    Python code below this folder. A server that did not start is tried again with the next change.
    """
    return _Reloader(arguments, settings).run()


class _Reloader:
    """One server at a time."""

    def __init__(self, arguments: Sequence[str], settings: Sequence[Path]) -> None:
        plain = [argument for argument in arguments if argument != _MARK]
        self._command = [sys.executable, "-m", "jackfield", *plain]
        self._settings = settings
        self._told: int | None = None

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        while True:
            before = _times(self._settings)
            with subprocess.Popen(self._command) as server:
                changed = self._wait_for_change(before)
                if server.poll() is None:
                    server.terminate()
                code = server.wait()
            if self._told is not None:
                return _INTERRUPTED if self._told == signal.SIGINT else code
            click.echo(f"\nChanged: {', '.join(sorted(changed))}. Starting anew.")

    def _wait_for_change(self, before: Times) -> set[str]:
        """Wait until a file has changed, and give the names of those that have; or until told to stop."""
        while self._told is None:
            now = _times(self._settings)
            if now != before:
                return {path.name for path, _ in before.items() ^ now.items()}
            time.sleep(_LOOK_S)
        return set()

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self._told = number


def _times(settings: Sequence[Path]) -> Times:
    found: dict[Path, int] = {}
    for path in (*settings, *_code(Path.cwd())):
        try:
            found[path] = path.stat().st_mtime_ns
        except OSError:  # not there, or not any more
            continue
    return found


def _code(folder: Path) -> Iterator[Path]:
    """Python files below a folder; not those in hidden folders, where tools keep theirs."""
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "__pycache__", "node_modules"))]
        yield from (Path(place, name) for name in files if name.endswith(".py"))
