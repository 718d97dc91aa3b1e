"""What kind of recording some bytes are, and whether that is what their label says."""

from __future__ import annotations

import re
from typing import Final, Literal, get_args

Container = Literal["webm", "ogg", "wav", "mp3", "mp4", "aac", "flac"]
"""A recording's file format. `webm` is any Matroska file, `aac` a bare ADTS stream."""

CONTAINERS: Final[tuple[Container, ...]] = get_args(Container)

_LABELS: Final[dict[str, tuple[Container, ...]]] = {
    "audio/webm": ("webm",),
    "video/webm": ("webm",),  # browsers label recordings without a picture both ways
    "audio/ogg": ("ogg",),
    "audio/wav": ("wav",),
    "audio/x-wav": ("wav",),
    "audio/wave": ("wav",),
    "audio/mpeg": ("mp3",),
    "audio/mp4": ("mp4",),
    "audio/x-m4a": ("mp4",),
    "audio/aac": ("aac", "mp4"),  # Safari writes MP4 under this label
    "audio/flac": ("flac",),
}

ACCEPTED_MEDIA_TYPES: Final = tuple(_LABELS)
"""Labels under which a recording may be sent; a parameter such as `;codecs=opus` may follow."""

_RAW: Final = re.compile(r"audio/l16\s*;\s*rate=(\d{4,5})(?:\s*;\s*channels=1)?")

_UNLABELLED: Final = ("", "application/octet-stream")


def sniff(data: bytes) -> Container | None:
    """Tell the container from the leading bytes (12 are enough); None when it is none that we take."""
    if data.startswith(b"\x1a\x45\xdf\xa3"):
        return "webm"
    if data.startswith(b"OggS"):
        return "ogg"
    if data.startswith(b"RIFF") and data[8:12] == b"WAVE":
        return "wav"
    if data.startswith(b"fLaC"):
        return "flac"
    if data[4:8] == b"ftyp":
        return "mp4"
    if data.startswith(b"ID3"):
        return "mp3"
    return _sniff_frame(data)


def _sniff_frame(data: bytes) -> Container | None:
    """Tell streams without a file header by the header of their first frame."""
    if len(data) < 3 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return None
    version, layer = data[1] >> 3 & 3, data[1] >> 1 & 3
    if layer == 0:
        return "aac" if version >= 2 else None
    reserved = version == 1 or data[2] >> 4 == 15 or data[2] >> 2 & 3 == 3
    return None if reserved else "mp3"


def matches_label(media_type: str | None, container: Container) -> bool:
    """Whether a recording in `container` may come under that label.

    A missing label and `application/octet-stream` say nothing, so the bytes alone decide.
    """
    label = (media_type or "").partition(";")[0].strip().lower()
    return label in _UNLABELLED or container in _LABELS.get(label, ())


def pcm_rate_hz(media_type: str) -> int | None:
    """The rate of PCM without a container, signed 16-bit little-endian and mono: `audio/l16; rate=16000`.

    None for every other label, and for rates outside of 8000 to 48000. RFC 2586 would have the bytes in
    network order; recorders and the services that take this label have them as above.
    """
    match = _RAW.fullmatch(media_type.strip().lower())
    rate_hz = int(match[1]) if match else 0
    return rate_hz if 8_000 <= rate_hz <= 48_000 else None
