"""The files of a new plugin's distribution, made from the templates that come along."""

from __future__ import annotations

import secrets
import tomllib
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from string import Template
from typing import Final

from jackfield.cli.new_plugin.names import Names
from jackfield.plugin import PROJECT, Kind

_TEMPLATES: Final = Path(__file__).with_name("templates")
_SUFFIX: Final = ".template"
_TARGETS: Final = {
    "env": ".env",
    "gitignore": ".gitignore",
    "module.py": "$module.py",
    "test.py": "test_$name.py",
}
"""What a template's file becomes; any other keeps its name."""
_PRIVATE: Final = 0o600
_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class About:
    """What the documents say of the example of a kind; its texts are templates too."""

    noun: str
    """What it is, with its article."""
    description: str
    """One sentence."""
    lines: str
    """Lines of a configuration file that choose it."""
    trial: str
    """How to see it at work (Markdown), once it serves."""


def about(kind: Kind) -> About:
    """Read what is said of a kind's example."""
    return About(**tomllib.loads((_TEMPLATES / kind / "about.toml").read_text(encoding="utf-8")))


def files_of(names: Names) -> dict[str, str]:
    """Make every file of the distribution: its name, and its text."""
    values = _values(names)
    found = (path for room in ("common", names.kind) for path in (_TEMPLATES / room).glob(f"*{_SUFFIX}"))
    files = {}
    for path in sorted(found):
        target = path.name.removesuffix(_SUFFIX)
        name = Template(_TARGETS.get(target, target)).substitute(values)
        files[name] = Template(path.read_text(encoding="utf-8")).substitute(values)
    if licence := distribution(PROJECT).read_text("licenses/LICENSE"):
        files["LICENSE"] = licence  # Jackfield's own; some packagers leave it out
    return files


def write(folder: Path, files: dict[str, str]) -> None:
    """Write the files into a folder, which is made where there is none; secrets are for its owner alone.

    :raises OSError: when that cannot be done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = folder / name
        if name == _TARGETS["env"]:
            path.touch(_PRIVATE, exist_ok=False)
        path.write_text(text, encoding="utf-8")


def _values(names: Names) -> dict[str, str]:
    """What the templates may name."""
    own = {
        "kind": names.kind,
        "name": names.name,
        "module": names.module,
        "distribution": names.distribution,
        "class_name": names.class_name,
        "title": names.title,
        "random_key": secrets.token_urlsafe(_KEY_BYTES),
    }
    said = about(names.kind)
    return own | {
        "noun": said.noun,
        "description": said.description,
        "lines": Template(said.lines).substitute(own).strip(),
        "trial": Template(said.trial).substitute(own).strip(),
    }
