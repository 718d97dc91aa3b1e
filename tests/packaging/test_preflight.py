"""What `make run` looks at before it does anything."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def preflight(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("preflight")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "requirements" / "preflight.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_taken_port_is_one_line_with_another_to_take() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        shown = run("--port", str(port), "--installed", __file__)
    assert shown.returncode == 2
    (line,) = shown.stderr.splitlines()
    assert f"Port {port} " in line
    assert f"make run PORT={port + 1}" in line


def test_a_port_that_is_no_number_is_one_line() -> None:
    shown = run("--port", "http", "--installed", __file__)
    assert (shown.returncode, len(shown.stderr.splitlines())) == (2, 1)


def test_a_new_machine_is_told_what_will_be_downloaded(tmp_path: Path) -> None:
    shown = run("--installed", str(tmp_path / "nothing"), "--models", str(tmp_path / "none"), "--port", "0")
    assert shown.returncode == 0
    assert "MB of packages" in shown.stdout
    assert "MB of models" in shown.stdout
    assert "Ctrl-C is safe" in shown.stdout


def test_the_second_start_says_nothing() -> None:
    shown = run("--installed", __file__, "--port", "0")
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, "", "")


def test_an_old_python_is_told_which_to_take(preflight: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    (problem,) = preflight.python_problems()
    assert problem.startswith("Python 3.9.2 ")
    assert "make run PYTHON=" in problem


def test_a_python_without_ensurepip_is_told_the_package(
    preflight: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight.importlib.util, "find_spec", lambda name: None)
    (problem,) = preflight.python_problems()
    assert problem.endswith("-venv")


def test_a_full_disk_is_told_with_both_figures(preflight: ModuleType) -> None:
    (problem,) = preflight.disk_problems(10**9)
    assert "1000000000 MB are needed" in problem


def test_it_runs_on_old_versions_of_python() -> None:
    source = (ROOT / "requirements" / "preflight.py").read_text()
    compile(source, "preflight.py", "exec", dont_inherit=True)
    assert "annotations" not in source
    assert 'f"' not in source
