"""`jackfield new-plugin`: which names and folders it takes, and what it says. What it writes is tested in
tests/packaging."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from jackfield.cli.new_plugin.names import Names, objection
from jackfield.plugin import KINDS

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_help_says_what_every_kind_is(run: Run) -> None:
    shown = run("new-plugin", "--help").stdout
    assert [kind for kind in KINDS if f"\n    {kind} " not in shown] == []


def test_a_plugin_goes_into_a_folder_named_like_its_distribution(run: Run, tmp_path: Path) -> None:
    shown = run("new-plugin", "llm", "my_model")
    assert (shown.returncode, shown.stderr) == (0, "")
    files = sorted(path.name for path in (tmp_path / "jackfield-llm-my-model").iterdir())
    assert "jackfield_llm_my_model.py" in files
    assert [file for file in files if f"\n  {file}\n" not in shown.stdout] == []
    assert "\n  cd jackfield-llm-my-model\n" in shown.stdout


def test_another_folder_can_be_named_which_may_be_there_while_it_is_empty(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "folder"
    folder.mkdir(parents=True)
    assert run("new-plugin", "tts", "mine", "--folder", folder).returncode == 0
    assert (folder / "jackfield_tts_mine.py").is_file()


def test_a_folder_that_is_not_empty_is_left_as_it_is(run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    shown = run("new-plugin", "stt", "mine", "--folder", tmp_path)
    assert shown.returncode == 2
    assert f"{tmp_path} is not an empty folder. Name a new one with --folder." in shown.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_a_folder_that_cannot_be_made_is_told_of_without_a_traceback(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    shown = run("new-plugin", "stt", "mine", "--folder", tmp_path / "file" / "folder")
    assert shown.returncode == 2
    assert "cannot be written: Not a directory. Name another --folder." in shown.stderr
    assert "Traceback" not in shown.stderr


def test_an_unknown_kind_is_told_with_those_that_there_are(run: Run) -> None:
    shown = run("new-plugin", "llms", "mine")
    assert shown.returncode == 2
    assert "'llm', 'stt'" in shown.stderr


def test_a_name_that_is_taken_is_told_with_who_has_it(run: Run, tmp_path: Path) -> None:
    shown = run("new-plugin", "llm", "echo")
    assert shown.returncode == 2
    assert 'The llm plugin "echo" is installed already, by jackfield' in shown.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Mine",
        "my-model",
        "9lives",
        "_mine",
        "mine_",
        "my__model",
        "naïve",
        "../up",
        "a b",
        "x\n",
        "x" * 25,
    ],
)
def test_a_name_that_is_none_is_refused_with_what_one_looks_like(name: str) -> None:
    told = objection(Names("llm", name))
    assert told is not None
    assert "is no name for a plugin" in told


@pytest.mark.parametrize("name", ["x", "gpt4", "my_model_2", "x" * 24])
def test_other_names_are_free(name: str) -> None:
    assert objection(Names("llm", name)) is None


def test_the_name_of_another_kinds_plugin_is_free() -> None:
    assert objection(Names("tts", "echo")) is None


def test_a_distribution_of_the_name_is_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = tmp_path / "jackfield_llm_my_model-1.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: jackfield-llm-my-model\nVersion: 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    told = objection(Names("llm", "my_model"))
    assert told == "The distribution jackfield-llm-my-model is installed already. Choose another name."


def test_a_module_of_the_name_is_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jackfield_llm_my_model.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    told = objection(Names("llm", "my_model"))
    assert told == "There is a module jackfield_llm_my_model already. Choose another name."
