"""The catalogue: model files that packages of the Python registry carry, with their checksums."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import PurePosixPath
from typing import Literal


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside a package's wheel."""

    path: str
    """Path inside the wheel."""
    size_bytes: int
    sha256: str
    """Hexadecimal digest of the file."""

    @property
    def name(self) -> str:
        """Name of the file once fetched."""
        return PurePosixPath(self.path).name


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A model, and the one registry package that carries it."""

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
    """Size of the download."""
    members: tuple[Member, ...]
    main: str | None = None
    """Name of the file that a plugin is given; None for the folder of all of them."""

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
        members = tuple(Member(**member) for member in entry.pop("members"))
        packages[name] = ModelPackage(name=name, members=members, **entry)
    return packages
