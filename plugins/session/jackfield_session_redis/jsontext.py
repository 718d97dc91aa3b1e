"""Values as bytes that Redis keeps: JSON, in UTF-8 that bears every text that Python has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from jackfield.contracts.json_object import json_text

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
    """Give the JSON of a mapping; raises as `json_text` does."""
    return to_bytes(json_text(value))


def from_json(data: bytes) -> Any:
    """Give a new value, the caller's own."""
    return json.loads(to_text(data))
