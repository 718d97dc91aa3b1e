"""What a new plugin and its distribution are called, and whether somebody else is called so already."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from typing import Final

from jackfield.installed import installed
from jackfield.plugin import PROJECT, Kind

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_MAX_CHARS: Final = 24


@dataclass(frozen=True, slots=True)
class Names:
    """The names of a plugin, all made from its kind and the word that `use` takes."""

    kind: Kind
    name: str

    @property
    def module(self) -> str:
        """The Python module."""
        return f"{PROJECT}_{self.kind}_{self.name}"

    @property
    def distribution(self) -> str:
        """The distribution, as it is published."""
        return self.module.replace("_", "-")

    @property
    def class_name(self) -> str:
        """What its classes begin with."""
        return "".join(word.capitalize() for word in self.name.split("_"))

    @property
    def title(self) -> str:
        """The name in a sentence."""
        return self.name.replace("_", " ").capitalize()


def objection(names: Names) -> str | None:
    """Say why a plugin cannot be called so, and what to do; None when it can."""
    name = names.name
    if not _NAME.fullmatch(name) or len(name) > _MAX_CHARS:
        return (
            f'"{name}" is no name for a plugin. Use lower-case letters and digits, a letter first, with '
            f"single underscores between words, {_MAX_CHARS} characters at most: my_model."
        )
    for plugin in installed(names.kind):
        if plugin.name == name:
            return (
                f'The {names.kind} plugin "{name}" is installed already, by {plugin.distribution} '
                f"{plugin.version}. Choose another name."
            )
    if _is_installed(names.distribution):
        return f"The distribution {names.distribution} is installed already. Choose another name."
    if find_spec(names.module) is not None:
        return f"There is a module {names.module} already. Choose another name."
    return None


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
