"""Names of stored clips: nobody guesses one, and each tells what kind of file it is."""

from __future__ import annotations

import re
import secrets
from typing import Final

from jackfield.audio.encode import ClipFormat

NAME: Final = re.compile(r"response_[A-Za-z0-9_-]{22,64}\.(mp3|ogg|wav|webm)")
MEDIA_TYPES: Final = {"mp3": "audio/mpeg", "ogg": "audio/ogg", "wav": "audio/wav", "webm": "audio/webm"}

_RANDOM_BYTES: Final = 16


def new_name(container: ClipFormat) -> str:
    """Give a name that nothing has had before."""
    return f"response_{secrets.token_urlsafe(_RANDOM_BYTES)}.{container}"


def media_type_of(name: str) -> str | None:
    """What a file of this name holds; None for what is no clip's name."""
    match = NAME.fullmatch(name)
    return MEDIA_TYPES[match[1]] if match else None
