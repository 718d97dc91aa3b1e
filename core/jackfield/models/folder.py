"""Where model files lie, and whether they are whole."""

from __future__ import annotations

import hashlib
import os
from difflib import get_close_matches
from pathlib import Path

from jackfield.errors import JackfieldError
from jackfield.models.packages import Member, ModelPackage, catalogue

_READ_BYTES = 1 << 20


class ModelMissing(JackfieldError):
    """Raised when a model is neither an existing path nor fetched; the message says what to do."""


def models_folder() -> Path:
    """Folder of the fetched models: `$JACKFIELD_MODELS`, or `jackfield/models` in the user's data."""
    if chosen := os.environ.get("JACKFIELD_MODELS"):
        return Path(chosen).expanduser()
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "jackfield" / "models"


def locate(name_or_path: str) -> Path:
    """Find a model: an existing path as it stands, or a name of the catalogue that was fetched.

    Gives a file, or a folder where the model is several files of equal rank.

    :raises ModelMissing: naming the command that fetches it, or the name that was probably meant.
    """
    path = Path(name_or_path).expanduser()
    if path.exists():
        return path
    package = catalogue().get(name_or_path)
    if package is None:
        raise ModelMissing(_not_known(name_or_path))
    if not is_fetched(name_or_path):
        raise ModelMissing(
            f"The model {name_or_path!r} is not in {models_folder()}. "
            f"Fetch it ({package.download_bytes / 1e6:.0f} MB): jackfield models fetch {name_or_path}"
        )
    folder = models_folder() / name_or_path
    return folder / package.main if package.main else folder


def _not_known(name: str) -> str:
    if os.sep in name:
        return f"There is no model at {name!r}. Check the path; it is relative to where the server starts."
    near = get_close_matches(name, catalogue(), n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Models that can be fetched: {', '.join(catalogue())}."
    return f"{name!r} is neither a file, nor a folder, nor a model of the catalogue. {hint}"


def is_fetched(name: str) -> bool:
    """Whether every file of a catalogue model is there in its full size. Checksums are not computed."""
    folder = models_folder() / name
    return all(_has_size(folder / member.name, member) for member in _package(name).members)


def _has_size(path: Path, member: Member) -> bool:
    return path.is_file() and path.stat().st_size == member.size_bytes


def verify(name: str) -> list[str]:
    """Compare a fetched model with its checksums; gives one line a problem, none when it is whole."""
    folder = models_folder() / name
    return [
        problem for member in _package(name).members if (problem := _problem(folder / member.name, member))
    ]


def _problem(path: Path, member: Member) -> str | None:
    if not path.is_file():
        return f"{path} is missing."
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
    if digest.hexdigest() == member.sha256:
        return None
    return f"{path} is damaged: its SHA-256 is {digest.hexdigest()}, expected {member.sha256}."


def _package(name: str) -> ModelPackage:
    package = catalogue().get(name)
    if package is None:
        raise ModelMissing(_not_known(name))
    return package
