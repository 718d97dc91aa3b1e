"""JSON objects, as session stores take and give them: preferences, settings, what a signal says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

MAX_PREFERENCES_BYTES: Final = 4096
"""Most bytes of preferences, as JSON in UTF-8."""


def json_text(value: Mapping[str, Any], *, ascii_only: bool = False) -> str:
    """Give the JSON text of an object; with `ascii_only` every character survives any database.

    :raises ValueError: when it is no mapping from text, or has no JSON. The message quotes nothing of it.
    """
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ValueError("This is not a JSON object. Give a mapping whose keys are all text.")
    try:
        return json.dumps(dict(value), ensure_ascii=ascii_only, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        raise ValueError("This cannot be written as JSON. Use text, numbers, lists and mappings.") from None


def preferences_text(preferences: Mapping[str, Any], *, ascii_only: bool = False) -> str:
    """Give the JSON text of preferences.

    :raises ValueError: as `json_text` does, and when they take more than `MAX_PREFERENCES_BYTES`.
    """
    text = json_text(preferences)
    size_bytes = len(text.encode(errors="surrogatepass"))
    if size_bytes > MAX_PREFERENCES_BYTES:
        raise ValueError(
            f"The preferences take {size_bytes} bytes as JSON; at most {MAX_PREFERENCES_BYTES} are kept."
        )
    return json_text(preferences, ascii_only=True) if ascii_only else text


def json_object(text: str) -> dict[str, Any]:
    """Give the object of a text, new and the caller's own."""
    value: dict[str, Any] = json.loads(text)
    return value
