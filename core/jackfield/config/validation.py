"""Pydantic's errors as problems with a fix. The offending value is never shown: it may be a secret."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ErrorType

from jackfield.errors import Problem, UnknownKey

_PLAIN: Final = frozenset(get_args(ErrorType)) - {
    "assertion_error",
    "import_error",
    "union_tag_invalid",
    "value_error",
}
"""Types of errors whose messages hold nothing of the value. Others' are a validator's own words."""
_ABSENT: Final = object()
_SECRET_CHARS: Final = 8
"""A text from this length on is taken out of a validator's words; shorter ones are no secrets."""
_SHAPES: Final = {
    "dataclass_type": "This must be a table.",
    "dict_type": "This must be a table.",
    "list_type": "This must be an array.",
    "mapping_type": "This must be a table.",
    "model_attributes_type": "This must be a table.",
    "model_type": "This must be a table.",
    "tuple_type": "This must be an array.",
}


def problems_of(
    error: ValidationError, model: type[BaseModel], table: object, prefix: str = ""
) -> list[Problem]:
    """Turn a validation error of `model` over `table` into problems, one for each location."""
    problems = []
    for item in error.errors(include_url=False, include_context=False):
        location = item["loc"]
        section = _dotted(location, prefix)
        if item["type"] == "missing" and _is_half_a_name(location[:-1], table):
            continue  # the unknown key beside it says what is wrong
        if item["type"] == "extra_forbidden":
            problems.append(_unknown_key(section, location, model, table))
        elif item["type"] == "missing":
            problems.append(Problem(section, f'The key "{location[-1]}" is missing.', "Add it."))
        else:
            problems.append(Problem(section, _message(item), "Mend the value."))
    return list(dict.fromkeys(problems))


def joined(known: Sequence[Problem], more: Sequence[Problem]) -> list[Problem]:
    """Put problems together, without what merely follows from another one.

    A place about which something is known already is not told of again. But who is to remove a key need not
    be told what its value should have been.
    """
    told = {problem.section for problem in known}
    unknown = {problem.section for problem in more if isinstance(problem, UnknownKey)}
    kept = [problem for problem in known if problem.section not in unknown]
    fresh = [problem for problem in more if problem.section in unknown or problem.section not in told]
    return list(dict.fromkeys([*kept, *fresh]))


def remove(table: dict[str, Any], location: Sequence[int | str]) -> None:
    """Take what is wrong out of a table, so that the rest can be looked at.

    That is the value itself, or what holds it: a missing key's table, a whole array of tables.
    """
    while len(location) > 1:
        parent = _at(location[:-1], table)
        if isinstance(parent, dict) and parent.pop(location[-1], _ABSENT) is not _ABSENT:
            return
        location = location[:-1]
    table.pop(str(location[0]), None)


def _message(item: ErrorDetails) -> str:
    kind, text = item["type"], item["msg"]
    if kind in _SHAPES:
        return _SHAPES[kind]
    if kind not in _PLAIN:
        text = text.removeprefix("Value error, ").removeprefix("Assertion failed, ")
        for value in sorted(_texts(item["input"]), key=len, reverse=True):
            text = text.replace(value, "…")
    return text[:1].upper() + text[1:].rstrip(".") + "."


def _texts(value: object) -> Iterator[str]:
    """Every text in a value that might be a secret."""
    if isinstance(value, str):
        if len(value) >= _SECRET_CHARS:
            yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _dotted(location: Sequence[int | str], prefix: str) -> str:
    parts = [str(part + 1) if isinstance(part, int) else part for part in location]
    return ".".join([prefix, *parts] if prefix else parts)


def _unknown_key(
    section: str, location: Sequence[int | str], model: type[BaseModel], table: object
) -> Problem:
    key = str(location[-1])
    if _is_half_a_name(location[:-1], table):
        start = ".".join(str(part) for part in location[:-2])
        fix = f'Write [{start}."{_whole_name(location, table)}"].'
        return Problem(section, "A name with a dot must be quoted.", fix)
    known = _fields_at(model, location[:-1])
    close = difflib.get_close_matches(key, known, n=1)
    if close:
        fix = f'Did you mean "{close[0]}"?'
    else:
        fix = f"Known keys: {', '.join(sorted(known))}." if known else "Remove it."
    return UnknownKey(section, f'There is no key "{key}" here.', fix, key)


def _is_half_a_name(location: Sequence[int | str], table: object) -> bool:
    """Whether the table at `location` came of an unquoted name.

    `[llm.named.gpt-4.1]` makes a table `gpt-4` that holds nothing but a table `1`.
    """
    named = len(location) == 3 and location[1] == "named"
    if not named and not (len(location) == 2 and location[0] in {"auth", "scenarios"}):
        return False
    found = _at(location, table)
    if not isinstance(found, Mapping) or not all(isinstance(value, Mapping) for value in found.values()):
        return False
    return not found.keys() <= {"options", "voice"}


def _whole_name(location: Sequence[int | str], table: object) -> str:
    """The name that was meant, from its two first parts on."""
    parts = [str(part) for part in location[-2:]]
    found = _at(location, table)
    while isinstance(found, Mapping) and len(found) == 1:
        (key, found), *_ = found.items()
        if not isinstance(found, Mapping):
            break
        parts.append(str(key))
    return ".".join(parts)


def _at(location: Sequence[int | str], table: object) -> object:
    """What a table holds at a location, None when there is nothing."""
    for part in location:
        if isinstance(table, Mapping):
            table = table.get(part)
        elif isinstance(table, list) and isinstance(part, int) and part < len(table):
            table = table[part]
        else:
            return None
    return table


def _fields_at(model: type[BaseModel], path: Sequence[int | str]) -> list[str]:
    """Field names of the model that stands at `path` inside `model`."""
    current: type[BaseModel] | None = model
    parts = iter(path)
    for part in parts:
        field = current.model_fields.get(str(part)) if current else None
        if field is None:
            continue  # the branch of a union
        current = _model_in(field.annotation)
        if _holds_many(field.annotation):
            next(parts, None)  # a name or an index, not a field
    return list(current.model_fields) if current else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model inside `X | None`, `tuple[X, ...]` or `dict[str, X]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def _holds_many(annotation: Any) -> bool:
    """Whether it is a container, `X | None` aside."""
    if get_origin(annotation) in {dict, list, tuple}:
        return True
    return any(get_origin(part) in {dict, list, tuple} for part in get_args(annotation))
