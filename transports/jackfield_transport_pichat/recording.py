"""Recordings in base64, as JavaScript, Python and browsers write it."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from anyio import to_thread

from jackfield.contracts.extension import Upload
from jackfield.errors import FieldError, ProtocolError

_DATA_URL: Final = re.compile(r"data:([^,]{0,200}?);base64,", re.IGNORECASE)
_WHITE_SPACE: Final = str.maketrans("", "", " \t\r\n\f\v")
_URL_SAFE: Final = str.maketrans("-_", "+/")
_SHORT_CHARS: Final = 64 * 1024
"""Less is decoded at once; more by a thread, so that nobody waits for it."""
_RAW: Final = "audio/l16"


async def upload(text: str, media_type: str | None, max_bytes: int) -> Upload:
    """Decode a recording. Either alphabet, white space, a missing padding and a data URL are taken.

    Of labels only that of PCM without a container counts: all else is told by the bytes.

    :raises ProtocolError: 413 `audio_too_large`, before anything is decoded where the length shows it
        already; 422 `invalid_audio`.
    """
    if len(text) < _SHORT_CHARS:
        return _upload(text, media_type, max_bytes)
    return await to_thread.run_sync(_upload, text, media_type, max_bytes)


def _upload(text: str, media_type: str | None, max_bytes: int) -> Upload:
    prefix = _DATA_URL.match(text)
    if prefix:
        text, media_type = text[prefix.end() :], media_type or prefix[1]
    text = text.translate(_WHITE_SPACE).rstrip("=")
    if len(text) * 3 // 4 > max_bytes:
        raise ProtocolError(413, "audio_too_large", f"The recording is larger than {max_bytes} bytes.")
    padding = "=" * (-len(text) % 4)
    try:
        data = base64.b64decode(text.translate(_URL_SAFE) + padding, validate=True)
    except (binascii.Error, ValueError):
        raise _invalid("The recording is not base64.") from None
    if not data:
        raise _invalid("The recording is empty.")
    label = media_type or ""
    return Upload(data, label if label.strip().lower().startswith(_RAW) else "")


def _invalid(detail: str) -> ProtocolError:
    return ProtocolError(422, "invalid_audio", detail, (FieldError("audio_data", "invalid_audio", detail),))
