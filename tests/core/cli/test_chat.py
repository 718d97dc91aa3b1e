"""`jackfield chat`."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

from tests.core.shop import PluginShop

Run = Callable[..., subprocess.CompletedProcess[str]]


def echo(folder: Path, options: str = "") -> Path:
    path = folder / "trial.toml"
    path.write_text(f'[llm]\nuse = "echo"\n{options}\n')
    return path


def test_each_line_is_answered(run: Run, tmp_path: Path) -> None:
    shown = run("chat", echo(tmp_path), stdin="hello there\nand again\n")
    assert (shown.returncode, shown.stdout.splitlines()) == (0, ["hello there", "and again"])


def test_empty_lines_are_not_sent(run: Run, tmp_path: Path) -> None:
    assert run("chat", echo(tmp_path), stdin="\n  \nhello\n").stdout.splitlines() == ["hello"]


def test_a_file_without_a_model_is_one_line_and_exit_code_2(run: Run, tmp_path: Path) -> None:
    (tmp_path / "trial.toml").write_text("")
    shown = run("chat", "trial.toml")
    assert (shown.returncode, shown.stderr.splitlines()) == (
        2,
        ["jackfield: [llm] No language model is configured. Add [llm] with `use`."],
    )


BROKEN = """
class Broken(LLM):
    async def __aenter__(self):
        raise RuntimeError("s3cret")
    async def __aexit__(self, *reason):
        pass
"""


def test_a_model_that_does_not_open_is_one_line_and_exit_code_2(
    run: Run, tmp_path: Path, shop: PluginShop
) -> None:
    shop.add_llm("broken", build="return Broken()", more=BROKEN)
    (tmp_path / "trial.toml").write_text('[llm]\nuse = "broken"\n')
    shown = run("chat", "trial.toml", PYTHONPATH=str(shop.folder))
    assert shown.returncode == 2
    loading, problem = shown.stderr.splitlines()
    assert loading == "Loading broken ..."
    assert problem.startswith('jackfield: [llm] "broken" cannot start: RuntimeError')
    assert "s3cret" not in problem


def test_an_interrupt_stops_the_answer_and_the_next_line_is_answered(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "jackfield", "chat", echo(tmp_path, "options.delay_s = 0.2")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        say(process.stdin, "many " * 500)
        assert process.stdout is not None
        assert process.stdout.read(5) == "many "
        process.send_signal(signal.SIGINT)
        say(process.stdin, "still")
        rest, _ = process.communicate(timeout=8)
    assert rest.endswith("\nstill\n")
    assert rest.count("many") < 400
    assert process.returncode == 0


def say(stream: IO[str] | None, line: str) -> None:
    assert stream is not None
    stream.write(line + "\n")
    stream.flush()
