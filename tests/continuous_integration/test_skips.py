"""A test whose part is missing is skipped on a developer's machine, and fails in continuous integration."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"

SKIPPED_TEST = """
import pytest

@pytest.mark.skipif(True, reason="the part is missing: apt-get install part")
def test_part():
    pass
"""
SKIPPED_MODULE = "import pytest\npytest.skip('the part is missing', allow_module_level=True)\n"
EXPECTED_FAILURE = "import pytest\n@pytest.mark.xfail\ndef test_part():\n    assert False\n"


def run(folder: Path, test: str, ci: str, skips: str = "") -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(CONFTEST.read_text())
    (folder / "skips.toml").write_text(f"[skips]\n{skips}\n")
    (folder / "test_trial.py").write_text(test)
    (folder / "pytest.ini").touch()
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider"],
        cwd=folder,
        env=os.environ | {"CI": ci, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # importing them takes longest
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_developer_sees_what_was_skipped_and_what_to_install(tmp_path: Path) -> None:
    shown = run(tmp_path, SKIPPED_TEST, ci="")
    assert shown.returncode == 0
    assert "the part is missing: apt-get install part" in shown.stdout


@pytest.mark.parametrize("test", [SKIPPED_TEST, SKIPPED_MODULE], ids=["test", "module"])
def test_a_skip_fails_in_continuous_integration(tmp_path: Path, test: str) -> None:
    shown = run(tmp_path, test, ci="true")
    assert shown.returncode != 0
    assert "the part is missing" in shown.stdout


def test_a_listed_skip_passes(tmp_path: Path) -> None:
    assert run(tmp_path, SKIPPED_TEST, "true", '"test_trial.py::*" = "no such machine"').returncode == 0


def test_an_expected_failure_is_no_skip(tmp_path: Path) -> None:
    assert run(tmp_path, EXPECTED_FAILURE, ci="true").returncode == 0
