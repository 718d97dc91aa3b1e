"""What goes wrong with the service, in the categories of the core; nothing of its words is passed on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from websockets.exceptions import ConnectionClosed, InvalidStatus

from jackfield.errors import ProviderBadReply, ProviderError, ProviderRefused, ProviderUnavailable
from jackfield.services import refusal

_STATUSES: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "rate_limit_error": 429,
    "tokens": 429,
    "requests": 429,
}
_ENDS: Final = {"session_expired", "invalid_api_key", "rate_limit_exceeded", "insufficient_quota"}
"""Codes of errors after which a session is of no further use, whatever their type says."""


def connection_error(error: Exception) -> ProviderError:
    """The category of a connection that did not come about."""
    if isinstance(error, InvalidStatus):
        headers = {name.lower(): value for name, value in error.response.headers.raw_items()}
        return refusal(error.response.status_code, _json(error.response.body), headers)
    return ProviderUnavailable(f"The connection to the service failed ({type(error).__name__}).")


def lost(error: ConnectionClosed) -> ProviderError:
    """The category of a connection that was lost."""
    code = error.rcvd.code if error.rcvd else 1006
    return ProviderUnavailable(f"The service ended the connection ({code}).")


def told_error(error: object, *, opening: bool = False) -> ProviderError:
    """The category of an `error` object that the service sent.

    What it does not accept while a session opens is due to the options, so that another provider may do.
    """
    error = error if isinstance(error, Mapping) else {}
    found = refusal(_STATUSES.get(str(error.get("type")), 500), error, {})
    if opening and type(found) is ProviderRefused:
        code = error.get("code")
        named = f" ({code})" if isinstance(code, str) and code.isidentifier() else ""
        return ProviderBadReply(
            f"The service does not accept the session{named}: check the model, the voice and the options."
        )
    return found


def ends_session(error: object) -> bool:
    """Whether nothing more is to be expected after an error."""
    if not isinstance(error, Mapping):
        return False
    return error.get("code") in _ENDS or error.get("type") != "invalid_request_error"


def is_busy(error: object) -> bool:
    """Whether an answer was refused because another is worked on."""
    return isinstance(error, Mapping) and error.get("code") == "conversation_already_has_active_response"


def _json(body: bytes | bytearray | None) -> object:
    try:
        value: object = json.loads(body or b"null")
    except ValueError:
        return None
    return value
