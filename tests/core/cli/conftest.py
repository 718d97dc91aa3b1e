"""Running the command as a person does: a process of its own, its output and its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run `jackfield ARGUMENTS` in an empty folder, with `environment` laid over ours."""

    def run_command(
        *arguments: str | Path, stdin: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        inherited = {name: value for name, value in os.environ.items() if name not in {"PORT", "SERVER_PORT"}}
        return subprocess.run(
            [sys.executable, "-m", "jackfield", *map(str, arguments)],
            cwd=tmp_path,
            env=inherited | {"COLUMNS": "200"} | environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run_command
