"""A message that is posted as a form: its fields, and the rules that they keep."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from jackfield.contracts.extension import Upload
from jackfield.errors import FieldError, ProtocolError
from jackfield.text import CONTROL_CHARACTERS, normalise
from jackfield.web.form import Form, Part

TEXT_FIELDS: Final = ("message", "type", "sessionId", "userId", "username")
MAX_SESSION_ID_CHARS: Final = 128
MAX_USER_ID_CHARS: Final = 128
MAX_USERNAME_CHARS: Final = 64
MIN_FIELD_BYTES: Final = 64 * 1024
"""A text field is read up to here at least, so that white space and control characters can be removed."""

_SESSION_ID: Final = re.compile(r"[A-Za-z0-9._:-]+")
_MOST_COMPOSED: Final = 4
"""Characters that normalising may make one of, at most."""
_UTF8_BYTES: Final = 4

MessageType = Literal["text", "voice"]


@dataclass(frozen=True, slots=True)
class ChatForm:
    """A checked message. `session_id` is None when the client asks for a new one."""

    type: MessageType
    text: str
    session_id: str | None
    user_id: str
    username: str
    audio: Part | None

    def upload(self) -> Upload:
        """Give the recording, which `audio_required` has made sure of."""
        part = self.audio or Part(0)
        return Upload(bytes(part.data), part.media_type)

    def check_audio_size(self) -> None:
        """Refuse a recording that was cut.

        :raises ProtocolError: 413 `audio_too_large`.
        """
        if self.audio is not None and self.audio.cut:
            most = self.audio.max_bytes
            raise ProtocolError(413, "audio_too_large", f"The audio file is larger than {most} bytes.")


def field_limits(max_text_chars: int) -> dict[str, int]:
    """Bytes that are kept of each text field of a message."""
    return dict.fromkeys(TEXT_FIELDS, max_field_bytes(max_text_chars))


def max_field_bytes(max_text_chars: int) -> int:
    """Bytes that are kept of a text field: more cannot become `max_text_chars` characters."""
    return max(MIN_FIELD_BYTES, max_text_chars * _MOST_COMPOSED * _UTF8_BYTES)


def parse_chat(form: Form, *, max_text_chars: int, session_required: bool) -> ChatForm:
    """Check every field of a message.

    :raises ProtocolError: 422 `invalid_request` with everything that is wrong, or `audio_required`.
    """
    fields = _Fields(form)
    kind = fields.type()
    text = fields.text("message", max_text_chars, required=kind != "voice")
    session_id = fields.session_id(required=session_required)
    user_id = fields.user_id()
    # One line, because it may stand in the middle of the instructions.
    username = " ".join(fields.text("username", MAX_USERNAME_CHARS).split())
    audio = form.get("audio")
    if kind == "voice" and not (audio and audio.data):
        fields.refuse("audio", "required", "A voice message needs an audio file.")
        if len(fields.errors) == 1:
            raise ProtocolError(422, "audio_required", fields.errors[0].message, tuple(fields.errors))
    fields.check()
    return ChatForm(
        "voice" if kind == "voice" else "text", text, session_id or None, user_id, username, audio
    )


def parse_user_id(form: Form) -> str:
    """Check a form that has only `userId`.

    :raises ProtocolError: 422 `invalid_request`.
    """
    fields = _Fields(form)
    user_id = fields.user_id()
    fields.check()
    return user_id


def is_session_id(text: str) -> bool:
    """Whether the text could be a session id."""
    return len(text) <= MAX_SESSION_ID_CHARS and _SESSION_ID.fullmatch(text) is not None


class _Fields:
    """Reads fields by their rules and gathers what breaks them. A bad field is read as empty."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self.errors: list[FieldError] = []

    def refuse(self, name: str, code: str, message: str) -> None:
        self.errors.append(FieldError(name, code, message))

    def check(self) -> None:
        if self.errors:
            detail = "Some fields of the form are missing or not valid."
            raise ProtocolError(422, "invalid_request", detail, tuple(self.errors))

    def type(self) -> str:
        kind = self._raw("type", required=True)
        if kind and kind not in ("text", "voice"):
            self.refuse("type", "invalid_choice", "type is either text or voice.")
            return ""
        return kind

    def text(self, name: str, max_chars: int, *, required: bool = True) -> str:
        raw = self._raw(name, required=required)
        text = normalise(raw)
        if raw and not text and required:
            self._missing(name)
        return self._bounded(name, text, max_chars)

    def session_id(self, *, required: bool) -> str:
        session_id = self._bounded(
            "sessionId", self._raw("sessionId", required=required), MAX_SESSION_ID_CHARS
        )
        if session_id and not is_session_id(session_id):
            message = "sessionId has characters other than letters, digits, '.', '_', ':' and '-'."
            self.refuse("sessionId", "invalid_characters", message)
            return ""
        return session_id

    def user_id(self) -> str:
        raw = self._raw("userId", required=True)
        if CONTROL_CHARACTERS.search(raw):
            self.refuse("userId", "invalid_characters", "userId has control characters.")
            return ""
        user_id = normalise(raw)
        if raw and not user_id:
            self._missing("userId")
        return self._bounded("userId", user_id, MAX_USER_ID_CHARS)

    def _raw(self, name: str, *, required: bool) -> str:
        """Give a field's text; empty, and perhaps an error, when it is missing or cannot be read."""
        part = self._form.get(name)
        if part is None or not part.data:
            if required:
                self._missing(name)
            return ""
        if part.cut:
            self._too_long(name)
            return ""
        try:
            return part.data.decode("utf-8")
        except UnicodeDecodeError:
            self.refuse(name, "invalid_characters", f"{name} is not UTF-8.")
            return ""

    def _bounded(self, name: str, text: str, max_chars: int) -> str:
        if len(text) > max_chars:
            self._too_long(name, max_chars)
            return ""
        return text

    def _missing(self, name: str) -> None:
        self.refuse(name, "required", f"{name} is missing or empty.")

    def _too_long(self, name: str, max_chars: int | None = None) -> None:
        most = "" if max_chars is None else f"; it may have {max_chars} characters"
        self.refuse(name, "too_long", f"{name} is too long{most}.")
