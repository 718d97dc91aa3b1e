"""The command itself: quick, light, and without tracebacks."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from jackfield.cli.commands import COMMANDS

HEAVY = {"fastapi", "starlette", "numpy", "av", "pydantic", "uvicorn", "stevedore", "pluggy", "anyio"}


def imported_by(*arguments: str) -> set[str]:
    """Top-level names of every module that a Python process imports."""
    process = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments], capture_output=True, text=True, check=True
    )
    lines = [line for line in process.stderr.splitlines() if line.startswith("import time:")]
    return {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in lines}


def test_help_imports_nothing_heavy() -> None:
    assert imported_by("-m", "jackfield", "--help") & HEAVY == set()


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert imported_by("-c", "import jackfield") & (HEAVY | {"click"}) == set()


def test_importing_the_package_takes_under_a_fifth_of_a_second() -> None:
    program = "import time; start = time.process_time(); import jackfield; print(time.process_time() - start)"
    best_s = min(
        float(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout)
        for _ in range(3)
    )
    assert best_s < 0.2


def test_help_answers_within_three_tenths_of_a_second(run: Callable[..., object]) -> None:
    def once() -> float:
        """Give what it costs the processor, for others may use it too."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(once() for _ in range(3)) < 0.3


def test_help_names_every_command(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    shown = run("--help").stdout
    assert [name for name in COMMANDS if f"\n  {name} " not in shown] == []


def test_every_command_has_a_help_of_its_own(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    for name in COMMANDS:
        assert f"Usage: jackfield {name}" in run(name, "--help").stdout


def test_an_unknown_command_exits_with_2(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    shown = run("sevre")
    assert (shown.returncode, "Traceback" in shown.stderr) == (2, False)


def test_a_file_that_is_not_there_is_one_line_and_exit_code_2(
    run: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    shown = run("check", "nowhere.toml")
    assert shown.returncode == 2
    assert shown.stderr.splitlines() == [
        "jackfield: [file] nowhere.toml cannot be read: No such file or directory. Name a configuration file."
    ]


def test_the_traceback_is_shown_when_it_is_asked_for(
    run: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    assert "Traceback" in run("check", "nowhere.toml", JACKFIELD_DEBUG="1").stderr


def test_a_file_beside_the_command_is_the_default(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "jackfield.toml").write_text('[llm]\nuse = "echo"\n[[transport]]\nuse = "relay_chat"\n')
    assert run("check").stdout.startswith("jackfield.toml\n")
