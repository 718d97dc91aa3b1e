"""What clients are sent: conversations, messages and errors as the contract has them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from jackfield.contracts.session import Conversation, Page, Record
from jackfield.errors import ProtocolError

Json = dict[str, Any]  # an object as JSON has it

_SOCKET_CODES: Final = {"invalid_request": "invalid_payload"}
"""Where a frame's code is not that of the route with the same meaning."""


def timestamp(at: datetime) -> str:
    """Write a time: RFC 3339, UTC."""
    text = at.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


def listed(conversation: Conversation) -> Json:
    """A conversation as lists have it."""
    last = conversation.last_message_at
    return {
        "id": conversation.id,
        "title": conversation.title,
        "last_message_at": timestamp(last) if last else None,
    }


def shown(conversation: Conversation) -> Json:
    """A conversation on its own."""
    brief = listed(conversation)
    return {
        "id": brief["id"],
        "title": brief["title"],
        "created_at": timestamp(conversation.created_at),
        "last_message_at": brief["last_message_at"],
    }


def conversations_list(page: Page[Conversation]) -> Json:
    """A page of conversations."""
    payload: Json = {"conversations": [listed(item) for item in page.items]}
    if page.next_cursor is not None:
        payload["next_cursor"] = page.next_cursor
    return payload


def message(record: Record) -> Json:
    """A message; `status` is there only where it is not as it should be."""
    found = {
        "id": record.id,
        "conversation_id": record.conversation_id,
        "role": record.role,
        "content": record.content,
        "is_audio": record.is_audio,
        "created_at": timestamp(record.created_at),
    }
    return found if record.status == "ok" else {**found, "status": record.status}


def frame(action: str, payload: Json, request_id: str | None = None) -> Json:
    """A frame; `request_id` is that of the client's request which it answers."""
    made: Json = {"action": action, "payload": payload}
    return made if request_id is None else {**made, "request_id": request_id}


def error_payload(error: ProtocolError, action: str | None, request_id: str) -> Json:
    """What an error frame says; `request_id` is the server's own."""
    payload: Json = {
        "code": _SOCKET_CODES.get(error.code, error.code),
        "message": error.detail,
        "action": action,
        "request_id": request_id,
    }
    if error.errors:
        payload["errors"] = [
            {"field": item.field, "code": item.code, "message": item.message} for item in error.errors
        ]
    if (wait := _retry_after_s(error.headers)) is not None:
        payload["retry_after"] = wait
    return payload


def _retry_after_s(headers: Mapping[str, str]) -> int | None:
    text = headers.get("Retry-After", "")
    return int(text) if text.isdecimal() else None
