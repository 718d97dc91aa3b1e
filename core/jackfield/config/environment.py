"""`${NAME}` and `${NAME:-default}` in the configuration file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from dotenv import dotenv_values

from jackfield.errors import ConfigError, Problem

_REFERENCE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_PLACEHOLDER: Final = re.compile(r"^(your[_-]|<your|changeme$|change-me$)", re.IGNORECASE)


def read_environment(dotenv: Path) -> dict[str, str]:
    """Join `.env` (if it is there) and the environment, which wins.

    What is empty or a placeholder counts as missing, so that the other one may say it.

    :raises ConfigError: when the file cannot be read.
    """
    return {**_real(_lines(dotenv)), **_real(os.environ)}


def holds_placeholder(dotenv: Path, name: str) -> bool:
    """Whether somebody was to replace the value of a variable, and did not.

    :raises ConfigError: when the file cannot be read.
    """
    said = [values.get(name) for values in (_lines(dotenv), os.environ)]
    return any(value and _PLACEHOLDER.match(value) for value in said)


def refers_to(table: Any, name: str) -> bool:
    """Whether a string of a parsed TOML value needs a variable: `${NAME}`, without a default."""
    if isinstance(table, dict):
        return any(refers_to(item, name) for item in table.values())
    if isinstance(table, list):
        return any(refers_to(item, name) for item in table)
    found = _REFERENCE.finditer(table) if isinstance(table, str) else ()
    return any(match.groups() == (name, None) for match in found)


def _lines(dotenv: Path) -> Mapping[str, str | None]:
    try:
        return dotenv_values(dotenv)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        message = f"{dotenv} cannot be read: {reason}."
        raise ConfigError([Problem("file", message, "Mend or remove it.")]) from error


def _real(values: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value and not _PLACEHOLDER.match(value)}


def substitute(table: Any, environment: Mapping[str, str], where: str = "") -> tuple[Any, list[Problem]]:
    """Replace every reference in the strings of a parsed TOML value; `where` is the value's location."""
    problems: list[Problem] = []

    def walk(value: Any, path: str) -> Any:
        if isinstance(value, dict):
            return {key: walk(item, f"{path}.{key}" if path else key) for key, item in value.items()}
        if isinstance(value, list):
            return [walk(item, f"{path}.{index}") for index, item in enumerate(value, 1)]
        if isinstance(value, str):
            problems.extend(_missing(value, environment, path))
            return _REFERENCE.sub(lambda match: _resolve(match, environment), value)
        return value

    return walk(table, where), problems


def _resolve(match: re.Match[str], environment: Mapping[str, str]) -> str:
    name, default = match.group(1), match.group(2)
    return environment.get(name) or (default or "")


def _missing(value: str, environment: Mapping[str, str], path: str) -> Iterator[Problem]:
    for match in _REFERENCE.finditer(value):
        name, default = match.group(1), match.group(2)
        if default is not None and "${" in default:
            message = f"The default of ${{{name}:-...}} holds another variable."
            yield Problem(path, message, "Write plain text as the default.")
        elif default is None and not environment.get(name):
            yield Problem(
                path,
                f"The environment variable {name} is not set, or holds a placeholder.",
                f"Set {name}, or write {name}=... into the file .env.",
            )
