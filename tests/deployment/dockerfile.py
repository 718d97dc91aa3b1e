"""What stands in a Dockerfile and in a .dockerignore, as far as ours go."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_REFERENCE: Final = re.compile(r"\$\{(\w+)\}|\$(\w+)")
_PAIR: Final = re.compile(r'([\w.]+)=("[^"]*"|\S+)')


@dataclass(frozen=True)
class Instruction:
    """One of a stage: `RUN`, and what follows it, continued lines joined."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """What follows: the words of the exec form, which must be one, or those of the text."""
        if self.text.startswith("["):
            words: list[str] = json.loads(self.text)
            return words
        return self.text.split()

    @property
    def pairs(self) -> dict[str, str]:
        """Names and values of ENV and LABEL."""
        return {name: value.strip('"') for name, value in _PAIR.findall(self.text)}


@dataclass(frozen=True)
class Stage:
    """From one FROM to the next."""

    base: str
    name: str
    instructions: Sequence[Instruction]

    def last(self, name: str) -> Instruction:
        """The instruction of a name that counts."""
        return [each for each in self.instructions if each.name == name][-1]


def instructions(text: str) -> list[Instruction]:
    """Read a Dockerfile."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines)).splitlines()
    return [Instruction(name.upper(), rest) for name, _, rest in (line.partition(" ") for line in joined)]


def stages(text: str) -> list[Stage]:
    """Read a Dockerfile stage by stage; what is before the first FROM are arguments with defaults."""
    found: list[Stage] = []
    arguments: dict[str, str] = {}
    inside: list[Instruction] = []
    for each in instructions(text):
        if each.name == "FROM":
            base, _, name = expanded(each.text, arguments).partition(" AS ")
            inside = []
            found.append(Stage(base, name, inside))
        elif found:
            inside.append(each)
        else:
            arguments |= each.pairs
    return found


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """Replace `$NAME` and `${NAME}`."""
    return _REFERENCE.sub(lambda match: variables.get(match[1] or match[2], ""), text)


def sent(root: Path) -> Iterator[Path]:
    """Paths, relative to `root`, of every file that its .dockerignore lets a builder see."""
    rules = [
        (not line.startswith("!"), line.removeprefix("!").rstrip("/"))
        for line in (root / ".dockerignore").read_text().split("\n")
        if line and not line.startswith("#")
    ]
    let_in = [pattern for ignored, pattern in rules if not ignored]
    for folder, folders, files in os.walk(root):
        here = Path(folder).relative_to(root)
        folders[:] = [
            name
            for name in folders
            if not _is_ignored(here / name, rules)
            or any(pattern.startswith(f"{(here / name).as_posix()}/") for pattern in let_in)
        ]
        yield from (here / name for name in files if not _is_ignored(here / name, rules))


def _is_ignored(path: Path, rules: Sequence[tuple[bool, str]]) -> bool:
    """Whether the last rule that is about a path, or about a folder that it is in, leaves it out."""
    names = [path.as_posix(), *(parent.as_posix() for parent in path.parents)]
    verdict = False
    for ignored, pattern in rules:
        if any(re.fullmatch(_expression(pattern), name) for name in names):
            verdict = ignored
    return verdict


def _expression(pattern: str) -> str:
    written = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
    return written.replace(r"\?", "[^/]")
