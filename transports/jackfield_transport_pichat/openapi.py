"""What /docs says of the routes: bodies are read by hand, so FastAPI cannot tell by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from jackfield_transport_pichat.payloads import MAX_TITLE_CHARS
from jackfield_transport_pichat.wire import Json

_STRING: Final[Json] = {"type": "string"}
_TIME: Final[Json] = {"type": "string", "format": "date-time"}
_TIME_OR_NULL: Final[Json] = {"type": ["string", "null"], "format": "date-time"}
_FLAG: Final[Json] = {"type": "boolean"}


def _object(required: str = "", /, **properties: Json) -> Json:
    return {"type": "object", "required": required.split(), "properties": properties}


_TITLE: Final[Json] = {"type": "string", "description": f"{MAX_TITLE_CHARS} characters, once normalised."}
_LISTED: Final = _object("id title last_message_at", id=_STRING, title=_STRING, last_message_at=_TIME_OR_NULL)
_CONVERSATION: Final = _object(
    "id title created_at last_message_at",
    id=_STRING,
    title=_STRING,
    created_at=_TIME,
    last_message_at=_TIME_OR_NULL,
)
_MESSAGE: Final = _object(
    "id conversation_id role content is_audio created_at",
    id=_STRING,
    conversation_id=_STRING,
    role={"type": "string", "enum": ["user", "assistant"]},
    content=_STRING,
    is_audio=_FLAG,
    created_at=_TIME,
    status={"type": "string", "enum": ["unanswered"], "description": "A question that got no answer."},
)
_SETTINGS: Final = _object(
    "selected_model voice_settings",
    selected_model=_STRING,
    voice_settings=_object("gender accent", gender=_STRING, accent=_STRING),
)
_OR_STRING: Final[Json] = {"type": ["string", "null"]}
_CHANGES: Final = _object(
    "",
    selected_model=_OR_STRING,
    voice_settings={
        "type": ["object", "null"],
        "properties": {"gender": _OR_STRING, "accent": _OR_STRING},
    },
)
_ERROR: Final = _object(
    "detail code request_id",
    detail={"type": "string", "description": "One plain sentence."},
    code={"type": "string", "description": "Stable, for programs."},
    request_id=_STRING,
    errors={
        "type": "array",
        "description": "With 422: the fields that are not valid.",
        "items": _object("field code message", field=_STRING, code=_STRING, message=_STRING),
    },
)

_ALWAYS: Final = {
    401: "`not_authenticated`",
    422: "`invalid_request`",
    429: "`rate_limited`; `Retry-After` says how many seconds to wait",
    500: "`internal_error`",
    503: "`store_unavailable`",
}
_INVALID_CHOICE: Final = "`invalid_request`, `invalid_model` or `invalid_voice`"
_UNKNOWN: Final = {404: "`conversation_not_found`"}
_BODY: Final = {
    400: "`malformed_body`",
    413: "`body_too_large`",
    415: "`unsupported_media_type`",
}
_ANSWERED: Final = {
    429: "`rate_limited` or `conversation_busy`",
    502: "`llm_failed`; the message is kept",
    504: "`llm_timeout` or `request_timeout`; the message is kept",
}


def _route(
    summary: str,
    status: int,
    answer: Json | None,
    errors: Mapping[int, str],
    body: Json | None = None,
    query: tuple[Json, ...] = (),
    *,
    of_one: bool = False,
) -> Json:
    """What FastAPI is told of a route."""
    said: Json = {"description": "Done."}
    if answer is not None:
        said = {"description": "The answer.", "content": {"application/json": {"schema": answer}}}
    failed = {
        code: {"description": text, "content": {"application/json": {"schema": _ERROR}}}
        for code, text in {**_ALWAYS, **errors}.items()
    }
    extra: Json = {}
    parameters = [_ID, *query] if of_one else [*query]
    if parameters:
        extra["parameters"] = parameters
    if body is not None:
        needed = bool(body["required"])
        extra["requestBody"] = {"required": needed, "content": {"application/json": {"schema": body}}}
    return {
        "summary": summary,
        "status_code": status,
        "responses": {status: said, **failed},
        "openapi_extra": extra,
    }


_ID: Final[Json] = {"name": "id", "in": "path", "required": True, "schema": _STRING}


def _limit(most: int) -> Json:
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": 100}
    return {"name": "limit", "in": "query", "schema": schema}


def _word(name: str, text: str) -> Json:
    return {"name": name, "in": "query", "schema": _STRING, "description": text}


_ONE: Final = _object("conversation", conversation=_CONVERSATION)
_PAGE: Final = _object(
    "conversations",
    conversations={"type": "array", "items": _LISTED},
    next_cursor={"type": "string", "description": "Asks for the next page; absent at the end."},
)
_MESSAGES: Final = _object(
    "conversation_id messages has_more",
    conversation_id=_STRING,
    messages={"type": "array", "items": _MESSAGE, "description": "Oldest first."},
    has_more=_FLAG,
)
_DETAILS: Final = _object(
    "conversation message_count", conversation=_CONVERSATION, message_count={"type": "integer"}
)

ROUTES: Final[Mapping[tuple[str, str], Json]] = {
    ("GET", "/api/conversations"): _route(
        "List conversations, the newest first",
        200,
        _PAGE,
        {},
        query=(_limit(200), _word("cursor", "`next_cursor` of the page before.")),
    ),
    ("POST", "/api/conversations"): _route(
        "Start a conversation", 201, _ONE, _BODY, _object("", title={**_TITLE, "type": ["string", "null"]})
    ),
    ("GET", "/api/conversations/{id}"): _route("Show a conversation", 200, _DETAILS, _UNKNOWN, of_one=True),
    ("PATCH", "/api/conversations/{id}"): _route(
        "Rename a conversation",
        200,
        _ONE,
        {**_BODY, **_UNKNOWN},
        _object("title", title={**_TITLE, "minLength": 1}),
        of_one=True,
    ),
    ("DELETE", "/api/conversations/{id}"): _route(
        "Delete a conversation with its messages", 204, None, _UNKNOWN, of_one=True
    ),
    ("GET", "/api/conversations/{id}/messages"): _route(
        "Read a conversation",
        200,
        _MESSAGES,
        _UNKNOWN,
        query=(_limit(500), _word("before", "Id of a message: only older ones.")),
        of_one=True,
    ),
    ("POST", "/api/conversations/{id}/messages"): _route(
        "Send a message and wait for the answer",
        201,
        _object("message reply", message=_MESSAGE, reply=_MESSAGE),
        {**_BODY, **_UNKNOWN, **_ANSWERED},
        _object(
            "content",
            content={"type": "string", "minLength": 1, "description": "16 000 characters, once normalised."},
            is_audio={"type": ["boolean", "null"], "description": "Whether the text comes from speech."},
        ),
        of_one=True,
    ),
    ("GET", "/api/users/me"): _route(
        "Show who is signed in", 200, _object("id created_at", id=_STRING, created_at=_TIME), {}
    ),
    ("GET", "/api/settings"): _route("Show the settings", 200, _SETTINGS, {}),
    ("PATCH", "/api/settings"): _route(
        "Change settings", 200, _SETTINGS, {**_BODY, 422: _INVALID_CHOICE}, _CHANGES
    ),
}
