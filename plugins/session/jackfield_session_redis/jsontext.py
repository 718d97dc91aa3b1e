"""Values as bytes that Redis keeps: JSON, in UTF-8 that bears every text that Python has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def to_bytes(text: str) -> bytes:
    """Encode any text, halves of surrogate pairs included."""
    return text.encode("utf-8", "surrogatepass")


def to_text(data: bytes) -> str:
    """Decode what `to_bytes` gave."""
    return data.decode("utf-8", "surrogatepass")


def to_json(value: Any) -> bytes:
    """Give the JSON of a value.

    :raises ValueError: when it has none.
    """
    try:
        return to_bytes(_ENCODER.encode(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError("This cannot be written as JSON. Use text, numbers, lists and mappings.") from error


def to_json_object(value: Mapping[str, Any]) -> bytes:
    """Give the JSON of a mapping.

    :raises ValueError: when it has none, or is no mapping from text.
    """
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ValueError("This is not a JSON object. Give a mapping whose keys are all text.")
    return to_json(dict(value))


def from_json(data: bytes) -> Any:
    """Give a new value, the caller's own."""
    return json.loads(to_text(data))
