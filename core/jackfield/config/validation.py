"""Pydantic's errors as problems with a fix. The offending value is never shown: it may be a secret."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from jackfield.errors import Problem


def problems_of(
    error: ValidationError, model: type[BaseModel], table: object, prefix: str = ""
) -> list[Problem]:
    """Turn a validation error of `model` over `table` into problems, one for each location."""
    problems = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        location = item["loc"]
        section = _dotted(location, prefix)
        if item["type"] == "missing" and _looks_unquoted(location, table):
            continue  # the unknown key beside it says what is wrong
        if item["type"] == "extra_forbidden":
            problems.append(_unknown_key(section, location, model, table))
        elif item["type"] == "missing":
            problems.append(_missing_key(section, location))
        else:
            problems.append(Problem(section, f"{_sentence(item['msg'])}", "Mend the value."))
    return list(dict.fromkeys(problems))


def _sentence(message: str) -> str:
    text = message.removeprefix("Value error, ")
    return text[:1].upper() + text[1:].rstrip(".") + "."


def _dotted(location: Sequence[int | str], prefix: str) -> str:
    parts = [str(part + 1) if isinstance(part, int) else part for part in location]
    return ".".join([prefix, *parts] if prefix else parts)


def _unknown_key(
    section: str, location: Sequence[int | str], model: type[BaseModel], table: object
) -> Problem:
    key = str(location[-1])
    if _looks_unquoted(location, table):
        whole = ".".join(str(part) for part in location[2:])
        quoted = f'[{location[0]}.{location[1]}."{whole}"]'
        return Problem(section, "A name with a dot must be quoted.", f"Write {quoted}.")
    known = _fields_at(model, location[:-1])
    close = difflib.get_close_matches(key, known, n=1)
    fix = f'Did you mean "{close[0]}"?' if close else f"Known keys: {', '.join(sorted(known)) or 'none'}."
    return Problem(section, f'There is no key "{key}" here.', fix)


def _missing_key(section: str, location: Sequence[int | str]) -> Problem:
    return Problem(section, f'The key "{location[-1]}" is missing.', "Add it.")


def _looks_unquoted(location: Sequence[int | str], table: object) -> bool:
    """Whether the location is inside a named provider whose own table holds nothing but a table."""
    if len(location) < 4 or location[1] != "named" or not isinstance(table, dict):
        return False
    named = table.get(location[0], {}).get("named", {}).get(location[2], {})
    return isinstance(named, dict) and "use" not in named and any(isinstance(v, dict) for v in named.values())


def _fields_at(model: type[BaseModel], path: Sequence[int | str]) -> list[str]:
    """Field names of the model that stands at `path` inside `model`."""
    current: type[BaseModel] | None = model
    parts = iter(path)
    for part in parts:
        field = current.model_fields.get(str(part)) if current else None
        current = _model_in(field.annotation) if field else None
        if field and get_origin(field.annotation) in (dict, tuple):
            next(parts, None)  # a name or an index, not a field
    return list(current.model_fields) if current else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model inside `X | None`, `tuple[X, ...]` or `dict[str, X]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)
