"""Errors as clients see them: a status, a stable code, one plain sentence, and never what really happened.

The body is `{"detail", "code", "request_id"}`, on 422 with `"errors"`, and what a protocol adds. Reasons go
to the log.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import Scope
from starlette.websockets import WebSocket, WebSocketState

from jackfield.errors import FieldError, ProtocolError, StoreUnavailable
from jackfield.server.documentation import allowed_methods
from jackfield.server.exchange import exchange_of, request_id

logger = logging.getLogger(__name__)

_PLAIN: Final[Mapping[int, tuple[str, str]]] = {
    400: ("malformed_body", "The request's body cannot be read."),
    401: ("not_authenticated", "Sign in first."),
    403: ("forbidden", "This is not allowed."),
    404: ("not_found", "There is nothing here."),
    405: ("method_not_allowed", "This address does not take that method."),
    413: ("body_too_large", "The request is too large."),
    415: ("unsupported_media_type", "This type of content is not accepted."),
    422: ("invalid_request", "The request breaks a rule."),
    429: ("rate_limited", "Too many requests; try again later."),
    500: ("internal_error", "Something went wrong on the server."),
    503: ("unavailable", "The server cannot do this now; try again later."),
}
"""Code and sentence of statuses that come without their own."""

_FIELD_CODES: Final[Mapping[str, tuple[str, str]]] = {
    "missing": ("required", "This field is required."),
    "string_too_long": ("too_long", "This field is too long."),
    "string_too_short": ("too_short", "This field is too short."),
    "literal_error": ("invalid_choice", "This is not one of the choices."),
    "enum": ("invalid_choice", "This is not one of the choices."),
    "string_pattern_mismatch": ("invalid_characters", "This field has characters that are not allowed."),
}

_CLOSE_CODES: Final[Mapping[int, int]] = {
    401: 4401,
    403: 4403,
    404: 4404,
    409: 4409,
    413: 1009,
    429: 4429,
    500: 1011,
    502: 1011,
    503: 1013,
    504: 1011,
}
"""WebSocket close codes by HTTP status; 1008 for any other."""


def plain_error(status: int, headers: Mapping[str, str] | None = None) -> ProtocolError:
    """An error with nothing to say beyond its status."""
    if status in _PLAIN:
        code, detail = _PLAIN[status]
    else:
        known = status in {item.value for item in HTTPStatus}
        phrase = HTTPStatus(status).phrase if known else "Request failed"
        code, detail = phrase.lower().replace(" ", "_").replace("-", "_"), f"{phrase}."
    return ProtocolError(status, code, detail, headers=headers or {})


def error_response(error: ProtocolError, scope: Scope) -> JSONResponse:
    """The answer that tells a client of an error."""
    exchange = exchange_of(scope)
    if exchange is not None:
        exchange.code = error.code
    body: dict[str, Any] = {**error.members, "detail": error.detail, "code": error.code}
    body["request_id"] = request_id.get()
    if error.status == 422:
        body["errors"] = [
            {"field": item.field, "code": item.code, "message": item.message} for item in error.errors
        ]
    return JSONResponse(body, error.status, dict(error.headers))


def close_code(status: int) -> int:
    """The WebSocket close code that says what the HTTP status says."""
    return _CLOSE_CODES.get(status, 1008)


def add_error_handlers(app: FastAPI) -> None:
    """Make every error that a route raises on purpose an answer of the one shape."""
    for kind, translate in _TRANSLATORS:
        # Starlette calls it for both kinds of connection; its types know handlers of one kind only.
        app.add_exception_handler(kind, _handler(translate))  # type: ignore[arg-type]


def _handler(
    translate: Callable[[Any], ProtocolError],
) -> Callable[[HTTPConnection, Exception], Awaitable[JSONResponse | None]]:
    async def handle(connection: HTTPConnection, error: Exception) -> JSONResponse | None:
        refusal = translate(error)
        if refusal.status == 405:  # the router names the methods of the first route alone
            refusal = plain_error(405, {**refusal.headers, "Allow": allowed_methods(connection.scope)})
        response = error_response(refusal, connection.scope)
        if isinstance(connection, WebSocket):
            if connection.application_state is WebSocketState.CONNECTED:
                await connection.close(close_code(refusal.status), refusal.code)
            if connection.application_state is not WebSocketState.CONNECTING:
                return None
        return response

    return handle


def _from_store_unavailable(error: StoreUnavailable) -> ProtocolError:
    logger.warning("a store cannot be reached: %s", error, exc_info=error.__cause__)
    return ProtocolError(503, "store_unavailable", "What is stored cannot be reached now; try again later.")


def _from_http_exception(error: HTTPException) -> ProtocolError:
    return plain_error(error.status_code, error.headers)


def _from_invalid_request(error: RequestValidationError) -> ProtocolError:
    found: Sequence[Mapping[str, Any]] = error.errors()
    if any(item["type"] == "json_invalid" for item in found):
        return plain_error(400)
    code, detail = _PLAIN[422]
    return ProtocolError(422, code, detail, tuple(_field_error(item) for item in found))


def _from_protocol_error(error: ProtocolError) -> ProtocolError:
    return error


def _field_error(item: Mapping[str, Any]) -> FieldError:
    where = ".".join(str(part) for part in item["loc"][1:]) or "body"
    code, message = _FIELD_CODES.get(item["type"], ("invalid", "This field breaks a rule."))
    return FieldError(where, code, message)


_TRANSLATORS: Final[Sequence[tuple[type[Exception], Callable[[Any], ProtocolError]]]] = (
    (ProtocolError, _from_protocol_error),
    (StoreUnavailable, _from_store_unavailable),
    (HTTPException, _from_http_exception),
    (RequestValidationError, _from_invalid_request),
)
