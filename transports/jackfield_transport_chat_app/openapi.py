"""What /docs says of the routes: requests are read by hand, so FastAPI cannot tell by itself."""

from __future__ import annotations

from typing import Final

from jackfield.web.openapi import Json, errors as described
from jackfield_transport_chat_app.fields import MAX_CURSOR_CHARS, MAX_TITLE_CHARS

_STRING: Final[Json] = {"type": "string"}
_INTEGER: Final[Json] = {"type": "integer"}
_TIME: Final[Json] = {"type": "string", "format": "date-time"}


def _object(properties: Json, required: list[str] | None = None) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
    }


def _nullable(kind: str) -> Json:
    return {"type": [kind, "null"]}


def _array(items: Json) -> Json:
    return {"type": "array", "items": items}


_MESSAGE: Final = _object(
    {
        "id": _STRING,
        "role": {"type": "string", "enum": ["user", "assistant"]},
        "content": _STRING,
        "created_at": _TIME,
    }
)
_ENVELOPE: Final[Json] = {"id": _STRING, "title": _STRING, "created_at": _TIME, "updated_at": _TIME}
_TOOL: Final = _object(
    {
        "name": _STRING,
        "status": {"type": "string", "enum": ["started", "ok", "error"]},
        "ms": _INTEGER,
    }
)
_ANSWER: Final = _object(
    {
        "message": _STRING,
        "chat_id": {"type": "string", "description": "Absent when nothing is stored."},
        "tokens_used": _INTEGER,
        "latency": {"type": "string", "pattern": "^[0-9]+ms$"},
        "prompt_tokens": _INTEGER,
        "completion_tokens": _INTEGER,
        "latency_ms": _INTEGER,
        "tokens_per_second": {"type": "number"},
        "tools": _array(_TOOL),
        "model": _STRING,
        "estimated": {"type": "boolean", "description": "True where the model told no figures, else absent."},
    },
    ["message", "tokens_used", "latency", "tools", "model"],
)
_EVENT: Final = _object(
    {
        "data": {
            "type": "string",
            "description": "An event in JSON, as the WebSocket has it; at the end `[DONE]`.",
        }
    }
)
_STATS: Final = _object(
    {
        "tokens_used": _INTEGER,
        "latency": _nullable("string"),
        "uptime_seconds": _INTEGER,
        "active_connections": _INTEGER,
        "chats_total": _INTEGER,
        "messages_total": _INTEGER,
        "tokens": _object({"prompt": _INTEGER, "completion": _INTEGER, "total": _INTEGER}),
        "latency_ms": _object({name: _nullable("integer") for name in ("last", "avg", "p50", "p95")}),
        "tokens_per_second": _object({name: _nullable("number") for name in ("last", "avg")}),
        "tool_calls_total": _INTEGER,
        "errors_total": _INTEGER,
    }
)

_ALWAYS: Final = {
    401: "`not_authenticated`",
    429: "`rate_limited`; `Retry-After` says how many seconds to wait",
    500: "`internal_error`",
    503: "`store_unavailable`",
}
_INVALID: Final = {422: "`invalid_request`"}
_UNKNOWN: Final = {404: "`chat_not_found`"}
_BODY: Final = {
    400: "`malformed_body`",
    413: "`body_too_large`",
    415: "`unsupported_media_type`",
    **_INVALID,
}


def chats() -> Json:
    """`GET /chats`."""
    item = _object({**_ENVELOPE, "message_count": _INTEGER, "last_message": _nullable("string")})
    answer = _object({"chats": _array(item), "next_cursor": _nullable("string")})
    told = _route("List chats, newest first", 200, answer, _INVALID)
    return told | {"openapi_extra": {"parameters": _page(50, 200)}}


def chat() -> Json:
    """`GET /chat/{id}`."""
    answer = _object({**_ENVELOPE, "messages": _array(_MESSAGE), "next_cursor": _nullable("string")})
    told = _route("Load a chat, its messages oldest first", 200, answer, {**_INVALID, **_UNKNOWN})
    path = {"name": "id", "in": "path", "required": True, "schema": _STRING}
    return told | {"openapi_extra": {"parameters": [path, *_page(200, 1000)]}}


def create() -> Json:
    """`POST /chat`."""
    told_chars = f"{MAX_TITLE_CHARS} characters, once normalised."
    title = {"type": ["string", "null"], "minLength": 1, "description": told_chars}
    answer = _object({**_ENVELOPE, "messages": {"type": "array", "maxItems": 0}})
    told = _route("Create an empty chat", 201, answer, _BODY)
    return told | {"openapi_extra": {"requestBody": _body(_object({"title": title}, []), required=False)}}


def generate(max_message_chars: int) -> Json:
    """`POST /generate`."""
    asked = _object(
        {
            "message": {
                "type": "string",
                "minLength": 1,
                "description": f"{max_message_chars} characters, once normalised.",
            },
            "chat_id": {**_nullable("string"), "description": "Absent: a new chat is created."},
            "store": {**_nullable("boolean"), "default": True},
            "stream": {
                **_nullable("boolean"),
                "default": False,
                "description": "Answer with server-sent events.",
            },
        },
        ["message"],
    )
    errors = {**_BODY, **_UNKNOWN, 502: "`llm_failed`", 504: "`llm_timeout`"}
    told = _route("Send a message and get the answer", 200, _ANSWER, errors)
    told["responses"][200]["content"]["text/event-stream"] = {"schema": _EVENT}
    return told | {"openapi_extra": {"requestBody": _body(asked, required=True)}}


def stats() -> Json:
    """`GET /stats`."""
    return _route("Figures of this process since it began", 200, _STATS, {})


def _route(summary: str, status: int, answer: Json, errors: dict[int, str]) -> Json:
    good = {"description": "The answer.", "content": {"application/json": {"schema": answer}}}
    return {
        "summary": summary,
        "status_code": status,
        "responses": {status: good, **described(dict(sorted((_ALWAYS | errors).items())))},
    }


def _page(default: int, most: int) -> list[Json]:
    limit = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    cursor = {"type": "string", "minLength": 1, "maxLength": MAX_CURSOR_CHARS}
    return [
        {"name": "limit", "in": "query", "required": False, "schema": limit},
        {"name": "cursor", "in": "query", "required": False, "schema": cursor},
    ]


def _body(schema: Json, *, required: bool) -> Json:
    return {"required": required, "content": {"application/json": {"schema": schema}}}
