"""What the backend's answer means for the client; nothing that it says about an error is passed on unseen."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, Literal

from jackfield.errors import FieldError, ProtocolError
from jackfield.text import printable
from jackfield.web.chat_form import MessageType
from jackfield_transport_smart_proxy.upstream import Reply

SOURCE_HEADER: Final = "X-Jackfield-Source"
UPSTREAM: Final = {SOURCE_HEADER: "upstream"}

_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_FIELD: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SECONDS: Final = re.compile(r"\d{1,6}")
_MAX_DETAIL_CHARS: Final = 500
_MAX_ERRORS: Final = 100
_AWAY: Final = (502, 503, 504)
_FOREIGN: Final = (404, 405)
_KEPT: Final[Mapping[int, tuple[str, str]]] = {
    400: ("malformed_body", "The request cannot be read."),
    401: ("not_authenticated", "Sign in first."),
    403: ("forbidden", "This is not allowed."),
    413: ("body_too_large", "The request is too large."),
    415: ("unsupported_media_type", "This type of content is not accepted."),
    422: ("invalid_request", "The request breaks a rule."),
    429: ("rate_limited", "Too many requests; try again later."),
}
"""Statuses that stay as they are, and what is said where the backend does not say it in our shape."""
LOOP: Final = "proxy_loop"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client is answered. `audio_url` is there if and only if the type is voice."""

    message: str = field(repr=False)
    type: MessageType
    source: Literal["upstream", "fallback"]
    audio_url: str | None = None
    degraded: bool = False
    """Whether a recording is answered in text because the answer could not be spoken."""

    def body(self) -> dict[str, str]:
        """The answer as it is sent."""
        body = {"message": self.message, "type": self.type}
        return body if self.audio_url is None else {**body, "audioUrl": self.audio_url}


class Away(Exception):
    """Raised when the backend cannot serve; `foreign` when something else listens in its place."""

    def __init__(self, reason: str, *, foreign: bool = False) -> None:
        super().__init__(reason)
        self.foreign = foreign


def understand(reply: Reply) -> Answer:
    """Give the backend's answer, its `audioUrl` as it came.

    :raises Away: when the fallback has to answer.
    :raises ProtocolError: what the client is told instead of an answer.
    """
    if reply.status == HTTPStatus.OK:
        return _answer(reply.body)
    if reply.status in _AWAY:
        raise Away(f"status {reply.status}")
    if reply.status in _FOREIGN and not _is_ours(reply, "session_not_found"):
        raise Away(f"status {reply.status}", foreign=True)
    if reply.status in _KEPT or reply.status == HTTPStatus.NOT_FOUND:
        raise _kept(reply)
    if _is_ours(reply, LOOP):
        raise loop()
    if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise ProtocolError(502, "backend_error", "The backend failed.", headers=UPSTREAM)
    raise bad_response()


def bad_response() -> ProtocolError:
    """What a client is told when the backend's answer is none."""
    detail = "The backend gave an answer that cannot be used."
    return ProtocolError(502, "backend_bad_response", detail, headers=UPSTREAM)


def loop() -> ProtocolError:
    """What is answered to a message that has gone in a circle."""
    return ProtocolError(508, LOOP, "The message was passed on too often: a proxy is its own backend.")


def _answer(body: Any) -> Answer:
    if not isinstance(body, dict) or not isinstance(body.get("message"), str):
        raise bad_response()
    if body.get("type") == "text":
        return Answer(body["message"], "text", "upstream")
    if body.get("type") != "voice" or not isinstance(body.get("audioUrl"), str):
        raise bad_response()
    return Answer(body["message"], "voice", "upstream", body["audioUrl"])


def _kept(reply: Reply) -> ProtocolError:
    code, detail = _KEPT.get(reply.status, ("not_found", "There is nothing here."))
    headers = dict(UPSTREAM)
    errors: tuple[FieldError, ...] = ()
    if _is_ours(reply):
        code, detail = reply.body["code"], _sentence(reply.body["detail"])
        errors = _errors(reply.body.get("errors"))
        if _SECONDS.fullmatch(reply.retry_after):
            headers["Retry-After"] = reply.retry_after
    if reply.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return ProtocolError(reply.status, code, detail, errors, headers)


def _is_ours(reply: Reply, code: str | None = None) -> bool:
    """Whether the body is an error of our shape, of this code if one is given."""
    body = reply.body
    if not isinstance(body, dict) or not isinstance(body.get("detail"), str):
        return False
    told = body.get("code")
    return isinstance(told, str) and _CODE.fullmatch(told) is not None and code in (None, told)


def _errors(told: Any) -> tuple[FieldError, ...]:
    found = told[:_MAX_ERRORS] if isinstance(told, list) else []
    return tuple(
        FieldError(item["field"], item["code"], _sentence(item["message"]))
        for item in found
        if isinstance(item, dict)
        and _matches(_FIELD, item.get("field"))
        and _matches(_CODE, item.get("code"))
        and isinstance(item.get("message"), str)
    )


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _sentence(text: str) -> str:
    return " ".join(printable(text[:_MAX_DETAIL_CHARS]).split())
