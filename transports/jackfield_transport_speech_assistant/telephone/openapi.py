"""What /docs says of the telephone's routes."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from jackfield.web.openapi import Json, errors

_TEXT: Final[Json] = {"type": "string"}
_CALL: Final[Json] = {
    "type": "object",
    "required": ["to"],
    "properties": {
        "to": {**_TEXT, "description": "Telephone number, as `+18005551212`."},
        "scenario_id": {**_TEXT, "maxLength": 64, "default": "default"},
    },
}
_CALLED: Final[Json] = {"type": "object", "required": ["call_sid"], "properties": {"call_sid": _TEXT}}

INCOMING_CALL: Final[dict[str, Any]] = {
    "summary": "Tell Twilio what to do with a call",
    "response_class": Response,
    "responses": {
        200: {"description": "TwiML.", "content": {"text/xml": {"schema": _TEXT}}},
        **errors(
            {
                403: "`invalid_signature`",
                404: "`scenario_not_found`",
                413: "`body_too_large`",
                422: "`invalid_request`",
                429: "`rate_limited`",
                503: "`store_unavailable`",
            }
        ),
    },
}
CALLS: Final[dict[str, Any]] = {
    "summary": "Call a telephone",
    "status_code": 201,
    "responses": {
        201: {"description": "It is being called.", "content": {"application/json": {"schema": _CALLED}}},
        **errors(
            {
                400: "`malformed_body`",
                401: "`not_authenticated`",
                404: "`scenario_not_found`",
                413: "`body_too_large`",
                415: "`unsupported_media_type`",
                422: "`invalid_request`",
                429: "`rate_limited` or `too_many_sessions`",
                502: "`provider_failed`",
                503: "`provider_rate_limited` or `store_unavailable`",
                504: "`provider_timeout`",
            }
        ),
    },
    "openapi_extra": {"requestBody": {"required": True, "content": {"application/json": {"schema": _CALL}}}},
}
