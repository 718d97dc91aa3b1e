"""What /docs says of the routes: requests are read by hand, so FastAPI cannot tell by itself."""

from __future__ import annotations

from typing import Any, Final

from jackfield_transport_relay_chat.fields import (
    MAX_SESSION_ID_CHARS,
    MAX_USER_ID_CHARS,
    MAX_USERNAME_CHARS,
)
from jackfield_transport_relay_chat.form import MULTIPART, URLENCODED

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

_USER_ID: Final[Json] = {
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
    "userId": _USER_ID,
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
        "transcript": {"type": "string", "description": "What was understood; only where configured."},
    },
}


def _form(properties: Json, required: list[str]) -> Json:
    return {"schema": {"type": "object", "required": required, "properties": properties}}


def _errors(texts: dict[int, str]) -> dict[int | str, Json]:
    content = {"application/json": {"schema": _ERROR}}
    return {status: {"description": text, "content": content} for status, text in texts.items()}


_ADMISSION: Final = {
    400: "`malformed_body`",
    401: "`not_authenticated`",
    403: "`user_mismatch`",
    415: "`unsupported_media_type`",
    422: "`invalid_request`",
    429: "`rate_limited`; `Retry-After` says how many seconds to wait",
    500: "`internal_error`",
    503: "`store_unavailable`",
}

_SPEAKING: Final = {
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

CHAT: Final[Json] = {
    "summary": "Send a typed or a recorded message",
    "responses": {
        200: {"description": "The answer.", "content": {"application/json": {"schema": _ANSWER}}},
        **_errors({**_ADMISSION, **_SPEAKING}),
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                MULTIPART: _form({**_TEXT_FIELDS, "audio": _AUDIO_FIELD}, _CHAT_REQUIRED),
                URLENCODED: _form(_TEXT_FIELDS, ["message", *_CHAT_REQUIRED]),
            },
        }
    },
}

AUDIO: Final[Json] = {
    "summary": "Fetch a spoken answer",
    "responses": {
        200: {"description": "The whole file.", "content": {"audio/*": {}}},
        206: {"description": "The range that was asked for.", "content": {"audio/*": {}}},
        **_errors({404: "`not_found`", 416: "`range_not_satisfiable`"}),
    },
    "openapi_extra": {
        "parameters": [{"name": "filename", "in": "path", "required": True, "schema": {"type": "string"}}]
    },
}

REFRESH: Final[Json] = {
    "summary": "Restart a session's clock",
    "status_code": 204,
    "responses": _errors({**_ADMISSION, 404: "`session_not_found`"}),
    "openapi_extra": {
        "parameters": [
            {
                "name": "sessionId",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "maxLength": MAX_SESSION_ID_CHARS},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {kind: _form({"userId": _USER_ID}, ["userId"]) for kind in (MULTIPART, URLENCODED)},
        },
    },
}
