"""Running the command as a person does: a process of its own, its output and its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jackfield.cli.commands import root
from tests.core.cli.sound_programs import SoundPrograms

Invoke = Callable[..., Result]
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


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Run `jackfield ARGUMENTS` in an empty folder, within this process: for what needs none of its own."""

    def invoke_command(*arguments: str | Path, stdin: str | bytes = "") -> Result:
        return CliRunner().invoke(root, [str(argument) for argument in arguments], input=stdin)

    monkeypatch.chdir(tmp_path)
    for name in ("PORT", "SERVER_PORT", "JACKFIELD_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return invoke_command


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SoundPrograms:
    """A machine without any program that plays or records, until they are added."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return SoundPrograms(folder)
