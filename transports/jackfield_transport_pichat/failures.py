"""Errors of the panel in the words of the contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from jackfield.errors import FieldError, ProtocolError

_CODES: Final[Mapping[str, str]] = {
    "audio_undecodable": "invalid_audio",
    "file_rejected": "invalid_audio",
    "scanner_unavailable": "stt_failed",
    "session_busy": "conversation_busy",
    "stt_timeout": "stt_failed",
    "tts_timeout": "tts_failed",
    "unsupported_audio_type": "invalid_audio",
    "voice_not_configured": "not_configured",
}
_FIELDS: Final[Mapping[str, str]] = {"audio": "audio_data", "message": "content"}


@contextmanager
def in_contract() -> Iterator[None]:
    """Raise what the panel raises inside with the contract's codes and names of fields."""
    try:
        yield
    except ProtocolError as error:
        fields = tuple(_named(item) for item in error.errors)
        raise replace(error, code=_CODES.get(error.code, error.code), errors=fields) from error


def _named(item: FieldError) -> FieldError:
    return replace(item, field=_FIELDS.get(item.field, item.field))
