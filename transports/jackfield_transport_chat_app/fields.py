"""What clients send: frames of a socket, bodies and queries of requests, and the rules that they keep."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.requests import Request

from jackfield import ProtocolError
from jackfield.errors import FieldError
from jackfield.text import normalise

MAX_ID_CHARS: Final = 64
MAX_TITLE_CHARS: Final = 200
MAX_CURSOR_CHARS: Final = 512
_MIN_BODY_BYTES: Final = 64 * 1024
_BYTES_A_CHAR: Final = 12
"""The longest that JSON writes a character."""
_CHAT_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_CURSOR: Final = re.compile(rf"[\x21-\x7e]{{1,{MAX_CURSOR_CHARS}}}")
_NUMBER: Final = re.compile(r"[0-9]{1,6}")


@dataclass(eq=False)
class BadFrame(ProtocolError):
    """A frame that breaks a rule; `id` is the frame's own, where that could be read."""

    id: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class UserMessage:
    """A question."""

    id: str | None
    text: str = field(repr=False)
    chat_id: str | None = None
    stream: bool = False


@dataclass(frozen=True, slots=True)
class GetHistory:
    """A wish to see a chat; None is the one that the socket is on."""

    id: str | None
    chat_id: str | None


@dataclass(frozen=True, slots=True)
class Ping:
    """A question whether anybody is there."""

    id: str | None


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """The body of `POST /generate`."""

    text: str = field(repr=False)
    chat_id: str | None
    store: bool
    stream: bool


Frame = UserMessage | GetHistory | Ping


def is_chat_id(text: str) -> bool:
    """Whether a chat may have this id; no store is asked about others."""
    return _CHAT_ID.fullmatch(text) is not None


def parse_frame(found: Mapping[str, Any], max_message_chars: int) -> Frame:
    """Read a frame.

    :raises BadFrame: `unknown_event` or `invalid_message`.
    """
    fields = Fields(found)
    id = fields.text("id", MAX_ID_CHARS)  # noqa: A001  # the field's name
    event = found.get("event", "user_message" if "message" in found else None)
    frame: Frame
    match event:
        case "user_message":
            text = fields.message(max_message_chars)
            frame = UserMessage(id, text, fields.text("chat_id"), fields.flag("stream", default=False))
        case "get_history":
            frame = GetHistory(id, fields.text("chat_id"))
        case "ping":
            frame = Ping(id)
        case _:
            raise BadFrame(422, "unknown_event", "The field 'event' names no known event.", id=id)
    if fields.errors:
        detail = " ".join(error.message for error in fields.errors)
        raise BadFrame(422, "invalid_message", detail, tuple(fields.errors), id=id)
    return frame


def parse_generate(found: Mapping[str, Any], max_message_chars: int) -> GenerateRequest:
    """Read the body of `POST /generate`.

    :raises ProtocolError: 422 `invalid_request`.
    """
    fields = Fields(found)
    request = GenerateRequest(
        fields.message(max_message_chars),
        fields.text("chat_id"),
        fields.flag("store", default=True),
        fields.flag("stream", default=False),
    )
    if request.chat_id is not None and not request.store:
        fields.refuse("chat_id", "not_allowed", "The field 'chat_id' is not allowed when nothing is stored.")
    fields.check()
    return request


def parse_title(found: Mapping[str, Any]) -> str | None:
    """Read the body of `POST /chat`; None without a title.

    :raises ProtocolError: 422 `invalid_request`.
    """
    fields = Fields(found)
    title = fields.text("title")
    if title is not None:
        title = " ".join(normalise(title).split())
        if not title:
            fields.refuse("title", "required", "The field 'title' is empty.")
        elif len(title) > MAX_TITLE_CHARS:
            fields.too_long("title", MAX_TITLE_CHARS)
    fields.check()
    return title


def parse_page(query: Mapping[str, str], *, default: int, most: int) -> tuple[int, str | None]:
    """Read `limit` and `cursor` of a list.

    :raises ProtocolError: 422 `invalid_request`.
    """
    fields = Fields({})
    limit = query.get("limit", str(default))
    count = int(limit) if _NUMBER.fullmatch(limit) else 0
    if not 1 <= count <= most:
        fields.refuse("limit", "invalid", f"limit is a number from 1 to {most}.")
    cursor = query.get("cursor")
    if cursor is not None and not _CURSOR.fullmatch(cursor):
        fields.refuse("cursor", "invalid", BAD_CURSOR)
    fields.check()
    return count, cursor


BAD_CURSOR: Final = "cursor is not one that this list gave."


def no_such_chat() -> ProtocolError:
    """The answer to an id that no chat of the user has."""
    return ProtocolError(404, "chat_not_found", "There is no such chat.")


def bad_cursor() -> ProtocolError:
    """The answer to a cursor that the list did not give."""
    return _invalid((FieldError("cursor", "invalid", BAD_CURSOR),))


async def read_object(request: Request, max_message_chars: int) -> dict[str, Any]:
    """Read a body that is a JSON object; an empty body is an empty one.

    :raises ProtocolError: 400 `malformed_body`, 413 `body_too_large`, 415 `unsupported_media_type`, 422
        `invalid_request`.
    """
    most = max(_MIN_BODY_BYTES, 2 * max_message_chars * _BYTES_A_CHAR)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise ProtocolError(413, "body_too_large", f"The body is larger than {most} bytes.")
    if not body:
        return {}
    _check_type(request)
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise ProtocolError(400, "malformed_body", "The body is not JSON.") from None
    if not isinstance(found, dict):
        raise _invalid((FieldError("body", "invalid", "The body is not a JSON object."),))
    return found


def _check_type(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        detail = "Send JSON as application/json; a message sent as a form is for the relay-chat interface."
        raise ProtocolError(415, "unsupported_media_type", detail)


class Fields:
    """Reads fields one by one, and notes what is wrong with them."""

    def __init__(self, found: Mapping[str, Any]) -> None:
        self._found = found
        self.errors: list[FieldError] = []

    def refuse(self, name: str, code: str, text: str) -> None:
        self.errors.append(FieldError(name, code, text))

    def check(self) -> None:
        """:raises ProtocolError: 422 `invalid_request` when a field was wrong."""
        if self.errors:
            raise _invalid(tuple(self.errors))

    def text(self, name: str, max_chars: int | None = None) -> str | None:
        """Give a string; None when it is missing or null."""
        value = self._found.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            self.refuse(name, "invalid", f"The field '{name}' is not a string.")
            return None
        if max_chars is not None and len(value) > max_chars:
            self.too_long(name, max_chars)
            return None
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        value = self._found.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.refuse(name, "invalid", f"The field '{name}' is not true or false.")
            return default
        return value

    def message(self, max_chars: int) -> str:
        """Give the message, normalised."""
        value = self._found.get("message")
        if value is not None and not isinstance(value, str):
            self.refuse("message", "invalid", "The field 'message' is not a string.")
            return ""
        text = normalise(value or "")
        if not text:
            self.refuse("message", "required", "The field 'message' is required.")
        elif len(text) > max_chars:
            self.too_long("message", max_chars)
        return text

    def too_long(self, name: str, max_chars: int) -> None:
        self.refuse(name, "too_long", f"The field '{name}' has more than {max_chars} characters.")


def _invalid(errors: tuple[FieldError, ...]) -> ProtocolError:
    return ProtocolError(422, "invalid_request", "The request is not valid.", errors)
