"""What /docs says of routes that read their requests by hand: FastAPI cannot tell by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from jackfield.web.chat_form import (
    MAX_SESSION_ID_CHARS,
    MAX_USER_ID_CHARS,
    MAX_USERNAME_CHARS,
)
from jackfield.web.form import MULTIPART, URLENCODED

Json = dict[str, Any]  # JSON schema, as OpenAPI has it

_ERROR: Final[Json] = {
    "type": "object",
    "required": ["detail", "code", "request_id"],
    "properties": {
        "detail": {"type": "string", "description": "One plain sentence."},
        "code": {"type": "string", "description": "Stable, for programs."},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "description": "With 422: the fields that are not valid.",
            "items": {
                "type": "object",
                "required": ["field", "code", "message"],
                "properties": {name: {"type": "string"} for name in ("field", "code", "message")},
            },
        },
    },
}

USER_ID: Final[Json] = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_USER_ID_CHARS,
    "description": "Who the user is, such as a wallet address; no control characters. With authentication "
    "it must be the user who signed in.",
}

_TEXT_FIELDS: Final[Json] = {
    "message": {
        "type": "string",
        "description": "The user's text. May be absent for `type=voice`, and is not used then.",
    },
    "type": {"type": "string", "enum": ["text", "voice"]},
    "sessionId": {
        "type": "string",
        "maxLength": MAX_SESSION_ID_CHARS,
        "pattern": "^[A-Za-z0-9._:-]+$",
        "description": "Unique id of one chat, made by the client; left out to start one where the server "
        "makes them.",
    },
    "userId": USER_ID,
    "username": {"type": "string", "maxLength": MAX_USERNAME_CHARS, "description": "Display name."},
}

_AUDIO_FIELD: Final[Json] = {
    "type": "string",
    "format": "binary",
    "description": "For `type=voice`: WebM, Ogg, WAV, MP3, MP4, AAC or FLAC.",
}

_ANSWER: Final[Json] = {
    "type": "object",
    "required": ["message", "type"],
    "properties": {
        "message": {"type": "string", "description": "The assistant's text."},
        "type": {"type": "string", "enum": ["text", "voice"]},
        "audioUrl": {"type": "string", "description": "If and only if `type` is `voice`."},
    },
}


def form(properties: Json, required: list[str]) -> Json:
    """Give the schema of a form."""
    return {"schema": {"type": "object", "required": required, "properties": properties}}


def errors(texts: Mapping[int, str]) -> dict[int | str, Json]:
    """Give the responses that tell of errors; `texts` maps statuses to what is told."""
    content = {"application/json": {"schema": _ERROR}}
    return {status: {"description": text, "content": content} for status, text in texts.items()}


ADMISSION: Final[Mapping[int, str]] = {
    400: "`malformed_body`",
    401: "`not_authenticated`",
    403: "`user_mismatch`",
    415: "`unsupported_media_type`",
    422: "`invalid_request`",
    429: "`rate_limited`; `Retry-After` says how many seconds to wait",
    500: "`internal_error`",
    503: "`store_unavailable`",
}

_SPEAKING: Final[Mapping[int, str]] = {
    404: "`session_not_found`, only where the server makes session ids",
    413: "`body_too_large` or `audio_too_large`",
    415: "`unsupported_media_type` or `unsupported_audio_type`",
    422: "`invalid_request`, `audio_required`, `audio_undecodable`, `audio_too_long`, `no_speech` or "
    "`file_rejected`",
    429: "`rate_limited` or `session_busy`",
    502: "`llm_failed` or `stt_failed`",
    503: "`store_unavailable` or `scanner_unavailable`",
    504: "`llm_timeout` or `stt_timeout`",
}

_CHAT_REQUIRED: Final = ["type", "sessionId", "userId", "username"]


def chat_route(fields: Mapping[str, Json] | None = None, failures: Mapping[int, str] | None = None) -> Json:
    """Describe a route that takes a message; `fields` and `failures` are those that only one door has."""
    answer = {**_ANSWER, "properties": {**_ANSWER["properties"], **(fields or {})}}
    return {
        "summary": "Send a typed or a recorded message",
        "responses": {
            200: {"description": "The answer.", "content": {"application/json": {"schema": answer}}},
            **errors({**ADMISSION, **_SPEAKING, **(failures or {})}),
        },
        "openapi_extra": {
            "requestBody": {
                "required": True,
                "content": {
                    MULTIPART: form({**_TEXT_FIELDS, "audio": _AUDIO_FIELD}, _CHAT_REQUIRED),
                    URLENCODED: form(_TEXT_FIELDS, ["message", *_CHAT_REQUIRED]),
                },
            }
        },
    }


AUDIO: Final[Json] = {
    "summary": "Fetch a spoken answer",
    "responses": {
        200: {"description": "The whole file.", "content": {"audio/*": {}}},
        206: {"description": "The range that was asked for.", "content": {"audio/*": {}}},
        304: {"description": "The client has it already, as `If-None-Match` says."},
        **errors({404: "`not_found`", 416: "`range_not_satisfiable`"}),
    },
    "openapi_extra": {
        "parameters": [{"name": "filename", "in": "path", "required": True, "schema": {"type": "string"}}]
    },
}
