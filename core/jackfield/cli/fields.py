"""The fields of a pydantic model as rows: name, type, default and description."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from jackfield.plugin import Options


def field_rows(model: type[BaseModel]) -> Iterator[tuple[str, str, str, str]]:
    """Give name, type, default and description of every field of a model.

    Options within options have rows of their own, under the name that a file gives them; `NAME` stands for
    one that whoever writes the file chooses.
    """
    schema = model.model_json_schema()
    for name, field in model.model_fields.items():
        nested = field.annotation
        if isinstance(nested, type) and issubclass(nested, Options):
            yield from ((f"{name}.{row[0]}", *row[1:]) for row in field_rows(nested))
            continue
        if (named := _named_options(nested)) is not None:
            yield from ((f"{name}.NAME.{row[0]}", *row[1:]) for row in field_rows(named))
            continue
        kind = _type_of(schema["properties"][field.alias or name], schema.get("$defs", {}))
        yield name, kind, _default_of(field), field.description or ""


def _named_options(annotation: object) -> type[Options] | None:
    """Give the options in `dict[str, X]`."""
    inner = get_args(annotation)[1] if get_origin(annotation) is dict else None
    return inner if isinstance(inner, type) and issubclass(inner, Options) else None


def _type_of(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Say in TOML's words what a JSON schema allows."""
    if isinstance(options := schema.get("anyOf"), list):
        kinds = (_type_of(option, definitions) for option in options if option.get("type") != "null")
        return " or ".join(dict.fromkeys(kinds))
    if isinstance(reference := schema.get("$ref"), str):
        return _type_of(definitions[reference.rsplit("/", 1)[-1]], definitions)
    if isinstance(choices := schema.get("enum"), list):
        return " or ".join(f'"{choice}"' for choice in choices)
    if isinstance(items := schema.get("items"), dict):
        return f"list of {_type_of(items, definitions)}"
    names = {"number": "float", "object": "table", "array": "list"}
    kind = str(schema.get("type", "any"))
    return names.get(kind, kind)


def _default_of(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=False)
    if field.is_required():
        return "required"
    if default is None or default is PydanticUndefined or isinstance(default, SecretStr | BaseModel):
        return "-"
    return _written(default)


def _written(value: object) -> str:
    """Write a value as TOML does."""
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_written, value))}]"
    return str(value)
