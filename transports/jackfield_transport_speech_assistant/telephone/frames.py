"""Frames of Twilio Media Streams: what a telephone's stream says, and what it is told."""

from __future__ import annotations

import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jackfield.errors import ProtocolError

MAX_FRAME_CHARS: Final = 65_536
"""Twilio's own have about 300."""
_KEYS: Final = frozenset("0123456789*#ABCD")
_FORMAT: Final[Mapping[str, object]] = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}


@dataclass(frozen=True, slots=True)
class Started:
    """The stream begins. `token` is empty where none came along."""

    stream: str
    call: str
    account: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Media:
    """Sound of the caller, mu-law; None for sound of the other direction."""

    stream: str
    sound: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Digit:
    """A key was pressed."""

    stream: str
    digit: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Everything that was sent before the mark was played, or cleared."""

    stream: str
    name: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The call is over."""

    stream: str


@dataclass(frozen=True, slots=True)
class Other:
    """Nothing that concerns us: `connected`, and events that Twilio may think of later."""

    stream: str = ""


Frame = Started | Media | Digit | Mark | Stopped | Other


def read_frame(text: str | None) -> Frame:
    """Read a frame; None stands for one of bytes. A frame's stream is empty where it names none.

    :raises ProtocolError: 422 `invalid_frame` for what is no frame, or lacks what its event needs.
    """
    if text is None or len(text) > MAX_FRAME_CHARS:
        raise _invalid("Frames are JSON objects, as text, of at most 65536 characters.")
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        raise _invalid("The frame is no JSON.") from None
    if not isinstance(frame, dict):
        raise _invalid("The frame is no JSON object.")
    event, stream = _text(frame, "event"), _optional_text(frame, "streamSid")
    match event:
        case "media":
            return _media(stream, _object(frame, "media"))
        case "mark":
            return Mark(stream, _text(_object(frame, "mark"), "name"))
        case "dtmf":
            return _digit(stream, _object(frame, "dtmf"))
        case "start":
            return _started(stream, _object(frame, "start"))
        case "stop":
            return Stopped(stream)
    return Other(stream)


def media_frame(stream: str, sound: bytes) -> bytes:
    """Give the frame that plays mu-law sound after what was sent before, in UTF-8."""
    payload = binascii.b2a_base64(sound, newline=False)
    return b'{"event":"media","streamSid":"%b","media":{"payload":"%b"}}' % (stream.encode(), payload)


def mark_frame(stream: str, name: str) -> Mapping[str, object]:
    """Give the frame that comes back once everything that was sent before it is played."""
    return {"event": "mark", "streamSid": stream, "mark": {"name": name}}


def clear_frame(stream: str) -> Mapping[str, object]:
    """Give the frame that ends the playing at once."""
    return {"event": "clear", "streamSid": stream}


def _media(stream: str, media: Mapping[str, Any]) -> Media:
    payload = _text(media, "payload")
    if media.get("track", "inbound") != "inbound":
        return Media(stream, None)
    try:
        sound = binascii.a2b_base64(payload, strict_mode=True)
    except ValueError:
        raise _invalid("media.payload is not base64.") from None
    if not sound:
        raise _invalid("media.payload is empty.")
    return Media(stream, sound)


def _digit(stream: str, dtmf: Mapping[str, Any]) -> Digit:
    digit = _text(dtmf, "digit")
    if digit not in _KEYS:
        raise _invalid("dtmf.digit is no key of a telephone.")
    return Digit(stream, digit)


def _started(stream: str, start: Mapping[str, Any]) -> Started:
    sound = start.get("mediaFormat", _FORMAT)
    if not isinstance(sound, dict) or any(sound.get(name) != value for name, value in _FORMAT.items()):
        raise _invalid("start.mediaFormat is not mono mu-law of 8000 samples a second.")
    parameters = start.get("customParameters")
    token = parameters.get("token") if isinstance(parameters, dict) else None
    return Started(
        stream=_stream_sid(stream or _text(start, "streamSid")),
        call=_text(start, "callSid"),
        account=_optional_text(start, "accountSid"),
        token=token if isinstance(token, str) else "",
    )


def _stream_sid(stream: str) -> str:
    """It stands in every frame that is sent, written only once."""
    if not (stream.isascii() and stream.isalnum() and len(stream) <= 64):
        raise _invalid("streamSid is not the id of a stream.")
    return stream


def _object(frame: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = frame.get(name)
    if not isinstance(found, dict):
        raise _invalid(f"{name} is no object.")
    return found


def _text(frame: Mapping[str, Any], name: str) -> str:
    found = frame.get(name)
    if not isinstance(found, str) or not found:
        raise _invalid(f"{name} is no text.")
    return found


def _optional_text(frame: Mapping[str, Any], name: str) -> str:
    return _text(frame, name) if frame.get(name) is not None else ""


def _invalid(detail: str) -> ProtocolError:
    return ProtocolError(422, "invalid_frame", detail)
