"""JSON as it is kept: in plain ASCII, so that every character survives every database."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def to_json(value: Mapping[str, Any]) -> str:
    """Give the JSON text of an object.

    :raises ValueError: when it is not one.
    """
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ValueError("This is not a JSON object. Give a mapping whose keys are all text.")
    try:
        return json.dumps(dict(value), allow_nan=False, separators=(",", ":"))
    except (TypeError, RecursionError):
        raise ValueError("This cannot be written as JSON. Use text, numbers, lists and mappings.") from None


def from_json(text: str) -> dict[str, Any]:
    """Give a new object, the caller's own."""
    value: dict[str, Any] = json.loads(text)
    return value
