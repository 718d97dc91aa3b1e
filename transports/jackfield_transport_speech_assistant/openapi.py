"""What /docs says of the routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from jackfield.web.openapi import Json, errors

_TEXT: Final[Json] = {"type": "string"}
_SCENARIO: Final[Json] = {**_TEXT, "maxLength": 64, "default": "default"}
_SESSION: Final[Json] = {
    "type": "object",
    "required": ["session_id", "client_secret", "client_secret_expires_at", "scenario_id", "ice_servers"],
    "properties": {
        "session_id": _TEXT,
        "client_secret": {
            **_TEXT,
            "description": "Good for one offer that is answered; or a key of the provider's.",
        },
        "client_secret_expires_at": {**_TEXT, "format": "date-time"},
        "scenario_id": _TEXT,
        "ice_servers": {
            "type": "array",
            "items": {"type": "object"},
            "description": "`iceServers` of `RTCPeerConnection`.",
        },
    },
}
_COMMON: Final = {
    401: "`not_authenticated`",
    429: "`rate_limited`; `Retry-After` says how many seconds to wait",
    503: "`store_unavailable`",
}
_BODY: Final = {
    400: "`malformed_body`",
    413: "`body_too_large`",
    415: "`unsupported_media_type`",
}
_MADE: Final = {
    **_COMMON,
    404: "`scenario_not_found`",
    422: "`invalid_request` or `voice_not_configured`",
    429: "`rate_limited` or `too_many_sessions`",
    502: "`provider_failed`",
    503: "`store_unavailable`, or `provider_rate_limited` with `Retry-After`",
    504: "`provider_timeout`",
}

_OFFERED: Final = {
    502: "`provider_failed`, where the speech-to-speech model answers offers itself",
    503: "`store_unavailable`, `too_many_calls`, `server_stopping`, or `provider_rate_limited` with "
    "`Retry-After`",
    504: "`provider_timeout`",
}


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _body(properties: Json, required: list[str]) -> Json:
    schema = {"type": "object", "required": required, "properties": properties}
    return {"requestBody": {"required": True, "content": _json(schema)}}


def _parameter(name: str, place: str, schema: Json) -> Json:
    return {"parameters": [{"name": name, "in": place, "required": place == "path", "schema": schema}]}


ROUTES: Final[Mapping[tuple[str, str], dict[str, Any]]] = {
    ("GET", "/scenarios"): {
        "summary": "The scenarios that can be played",
        "responses": {
            200: {"description": "Ids and names.", "content": _json({"type": "object"})},
            **errors(_COMMON),
        },
    },
    ("GET", "/realtime/session"): {
        "summary": "Make a session",
        "responses": {200: {"description": "The session.", "content": _json(_SESSION)}, **errors(_MADE)},
        "openapi_extra": _parameter("scenario_id", "query", _SCENARIO),
    },
    ("POST", "/realtime/session"): {
        "summary": "Make a session",
        "responses": {
            200: {"description": "The session.", "content": _json(_SESSION)},
            **errors({**_MADE, **_BODY}),
        },
        "openapi_extra": _body({"scenario_id": _SCENARIO}, []),
    },
    ("POST", "/realtime/signal"): {
        "summary": "Answer a browser's offer",
        "responses": {
            200: {
                "description": "The answer, with every candidate of whoever answers.",
                "content": _json({"type": "object", "properties": {"sdp_answer": _TEXT}}),
            },
            **errors(
                {
                    **_COMMON,
                    **_BODY,
                    403: "`not_your_session`",
                    404: "`session_not_found`",
                    409: "`already_signalled`",
                    422: "`invalid_request`, `invalid_sdp`, `invalid_client_secret` or "
                    "`voice_not_configured`",
                    **_OFFERED,
                }
            ),
        },
        "openapi_extra": _body(
            {"session_id": _TEXT, "client_secret": _TEXT, "sdp": _TEXT},
            ["session_id", "client_secret", "sdp"],
        ),
    },
    ("DELETE", "/realtime/session/{session_id}"): {
        "summary": "End a session",
        "responses": {
            204: {"description": "It is over."},
            **errors({**_COMMON, 403: "`not_your_session`", 404: "`session_not_found`"}),
        },
        "openapi_extra": _parameter("session_id", "path", _TEXT),
    },
}
