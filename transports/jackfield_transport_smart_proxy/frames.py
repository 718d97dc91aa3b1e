"""What clients send over the WebSocket, and what they are sent."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jackfield.errors import FieldError, ProtocolError
from jackfield.web.chat_form import MAX_USERNAME_CHARS, is_session_id
from jackfield.web.form import Form, Part
from jackfield_transport_smart_proxy.answers import Answer

_MAX_ID_CHARS: Final = 64
_TEXTS: Final = ("message", "type", "sessionId", "username")


@dataclass(eq=False)
class FrameError(ProtocolError):
    """Raised for a frame that is no message, and told under the frame's own id."""

    id: str | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """A message as a form, and the id by which its sender will know the answer."""

    form: Form = field(repr=False)
    id: str | None


def parse(frame: Mapping[str, Any], user_id: str, max_bytes: Mapping[str, int]) -> Frame:
    """Read a message as the form that it stands for.

    :raises FrameError: 422 `invalid_request`.
    """
    found = frame.get("id")
    if found is not None and (not isinstance(found, str) or len(found) > _MAX_ID_CHARS):
        raise _invalid(None, "id", "too_long", f"id is a text of at most {_MAX_ID_CHARS} characters.")
    whole = {"type": "text", "sessionId": default_session(user_id), "username": user_id[:MAX_USERNAME_CHARS]}
    whole |= {name: frame[name] for name in _TEXTS if frame.get(name) is not None}
    form: Form = {}
    for name, value in {**whole, "userId": user_id}.items():
        if not isinstance(value, str):
            raise _invalid(found, name, "invalid", f"{name} is not a text.")
        form[name] = _part(value.encode("utf-8", "ignore"), max_bytes[name])
    if frame.get("audio") is not None:
        form["audio"] = _audio(frame, found, max_bytes["audio"])
    return Frame(form, found)


def default_session(user_id: str) -> str:
    """The session of a message that names none."""
    plain = f"ws-{user_id}"
    return plain if is_session_id(plain) else f"ws-{hashlib.sha256(user_id.encode()).hexdigest()[:32]}"


def answered(answer: Answer, session_id: str, frame_id: str | None) -> dict[str, str]:
    """Write an answer; one without an id was asked for elsewhere, or by a frame without one."""
    frame = {**answer.body(), "sessionId": session_id}
    return frame if frame_id is None else {**frame, "id": frame_id}


def described(error: ProtocolError, frame_id: str | None = None) -> dict[str, Any]:
    """Write an error."""
    frame: dict[str, Any] = {"type": "error", "code": error.code, "detail": error.detail}
    retry_after = error.headers.get("Retry-After", "")
    if retry_after.isdigit():
        frame["retry_after"] = int(retry_after)
    known = error.id if isinstance(error, FrameError) else frame_id
    return frame if known is None else {**frame, "id": known}


def refused(error: ProtocolError, frame_id: str | None) -> FrameError:
    """The same error, told under the frame's id."""
    return FrameError(error.status, error.code, error.detail, error.errors, error.headers, id=frame_id)


def _audio(frame: Mapping[str, Any], frame_id: str | None, max_bytes: int) -> Part:
    sound, label = frame["audio"], frame.get("mimeType") or ""
    if not isinstance(sound, str) or not isinstance(label, str):
        raise _invalid(frame_id, "audio", "invalid", "audio and mimeType are texts.")
    try:
        data = base64.b64decode(sound, validate=True)
    except (binascii.Error, ValueError):
        raise _invalid(frame_id, "audio", "invalid_characters", "audio is not base64.") from None
    part = _part(data, max_bytes)
    part.media_type = label
    part.filename = "voice.webm"
    return part


def _part(data: bytes, max_bytes: int) -> Part:
    part = Part(max_bytes)
    part.add(data)
    return part


def _invalid(frame_id: str | None, name: str, code: str, message: str) -> FrameError:
    return FrameError(422, "invalid_request", message, (FieldError(name, code, message),), id=frame_id)
