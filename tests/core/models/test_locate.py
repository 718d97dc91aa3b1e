"""Finding a model, and saying what to do when it is not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jackfield.models import ModelMissing, ModelPackage, fetch, is_fetched, locate, models_folder, verify

Tiny = Callable[..., ModelPackage]


def _place(package: ModelPackage) -> Path:
    folder = models_folder() / package.name
    folder.mkdir(parents=True)
    for member in package.members:
        (folder / member.name).write_bytes(bytes(member.size_bytes))
    return folder


def test_an_existing_path_is_given_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "my.gguf").touch()
    assert locate(str(tmp_path / "my.gguf")) == tmp_path / "my.gguf"


def test_a_fetched_model_is_given_as_its_main_file(tiny: Tiny) -> None:
    folder = _place(tiny())
    assert locate("tiny") == folder / "tiny.bin"


def test_a_model_of_files_of_equal_rank_is_given_as_their_folder(tiny: Tiny) -> None:
    folder = _place(tiny(main=None))
    assert locate("tiny") == folder


def test_a_model_that_is_not_fetched_names_the_command(tiny: Tiny) -> None:
    with pytest.raises(ModelMissing, match="jackfield models fetch tiny"):
        locate("tiny")


def test_a_model_with_a_file_cut_short_counts_as_not_fetched(tiny: Tiny) -> None:
    folder = _place(tiny())
    assert is_fetched("tiny")
    (folder / "tiny.bin").write_bytes(b"half")
    assert not is_fetched("tiny")
    with pytest.raises(ModelMissing):
        locate("tiny")


def test_a_misspelt_name_suggests_the_right_one() -> None:
    with pytest.raises(ModelMissing, match=r"Did you mean 'whisper-tiny\.en'"):
        locate("wisper-tiny.en")


def test_a_path_that_does_not_exist_is_not_taken_for_a_name() -> None:
    with pytest.raises(ModelMissing, match="Check the path"):
        locate("models/whisper-tiny.en")


def test_verify_names_the_damaged_and_the_missing_file(tiny: Tiny, shelf: Path) -> None:
    fetch("tiny")
    assert verify("tiny") == []
    folder = models_folder() / "tiny"
    (folder / "tiny.bin").write_bytes(bytes((folder / "tiny.bin").stat().st_size))
    (folder / "tiny.json").unlink()
    damaged, missing = verify("tiny")
    assert "tiny.bin is damaged" in damaged
    assert "tiny.json is missing" in missing


def test_the_folder_of_models_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("JACKFIELD_MODELS", "")
    assert models_folder() == tmp_path / "data" / "jackfield" / "models"
    monkeypatch.setenv("JACKFIELD_MODELS", str(tmp_path / "here"))
    assert models_folder() == tmp_path / "here"
