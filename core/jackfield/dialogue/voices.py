"""Which voice speaks: what the turn asks for, else what the user prefers, else the scenario's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from jackfield.contracts.tts import Voice

_FIELDS = tuple(field.name for field in fields(Voice))


def voice_for(asked: Voice | None, preferences: Mapping[str, Any], default: Voice) -> Voice:
    """Choose a voice. `preferences["voice"]` is an object with any of the fields of `Voice`."""
    if asked is not None:
        return asked
    preferred = preferences.get("voice")
    if not isinstance(preferred, Mapping):
        return default
    known = {name: preferred[name] for name in _FIELDS if isinstance(preferred.get(name), str)}
    return Voice(**known) if known else default
