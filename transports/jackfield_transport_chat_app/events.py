"""What a chat app says: its events, and the parts that its answers over HTTP share with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from jackfield import ProtocolError
from jackfield.contracts.session import Record
from jackfield_transport_chat_app.figures import milliseconds
from jackfield_transport_chat_app.measurement import Measured

Json = dict[str, Any]

CODES: Final[Mapping[str, str]] = {
    "conversation_not_found": "chat_not_found",
    "session_busy": "busy",
    "invalid_request": "invalid_message",
}
"""Codes of errors that this contract calls otherwise on a socket."""

STORE_UNAVAILABLE: Final = ProtocolError(
    503, "store_unavailable", "The chat cannot be reached now; try again later."
)
INTERNAL_ERROR: Final = ProtocolError(500, "internal_error", "Something unforeseen happened.")


def too_slow() -> ProtocolError:
    """What is raised for a message that takes longer than a request may."""
    return ProtocolError(504, "llm_timeout", "The message was not answered in time.")


def wire_time(at: datetime) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def message(record: Record) -> Json:
    """A message of a chat."""
    return {
        "id": record.id,
        "role": record.role,
        "content": record.content,
        "created_at": wire_time(record.created_at),
    }


def chat_history(chat_id: str, records: Iterable[Record], *, append: bool) -> Json:
    """Messages of a chat: the newest there are, or those to append."""
    return {
        "event": "chat_history",
        "chat_id": chat_id,
        "append": append,
        "messages": [message(record) for record in records],
    }


def delta(text: str, chat_id: str | None) -> Json:
    """A piece of an answer."""
    return _of_chat({"event": "ai_response_delta", "delta": text}, chat_id)


def ai_response(text: str, chat_id: str | None) -> Json:
    """A whole answer."""
    return _of_chat({"event": "ai_response", "message": text}, chat_id)


def figures(measured: Measured) -> Json:
    """What both `backend_status` and the answer of `POST /generate` tell of an exchange."""
    latency_ms = milliseconds(measured.latency_s)
    told: Json = {
        "tokens_used": measured.tokens,
        "latency": f"{latency_ms}ms",
        "prompt_tokens": measured.usage.prompt_tokens,
        "completion_tokens": measured.usage.completion_tokens,
        "latency_ms": latency_ms,
        "tokens_per_second": round(measured.tokens_per_second, 1),
        "tools": [
            {"name": tool.name, "status": tool.status, "ms": milliseconds(tool.seconds)}
            for tool in measured.tools
        ],
        "model": measured.model,
    }
    return told | ({"estimated": True} if measured.usage.estimated else {})


def backend_status(measured: Measured, tokens_total: int, chat_id: str | None) -> Json:
    """The figures of an exchange, and the tokens of the whole chat."""
    own = {"tokens_total": tokens_total, "first_token_ms": milliseconds(measured.first_token_s)}
    return _of_chat({"event": "backend_status", **figures(measured), **own}, chat_id)


def error_event(error: ProtocolError, id: str | None = None) -> Json:  # noqa: A002  # the field's name
    """What went wrong."""
    told: Json = {"event": "error", "code": CODES.get(error.code, error.code), "detail": error.detail}
    retry_after = error.headers.get("Retry-After", "")
    if retry_after.isdecimal():
        told["retry_after"] = int(retry_after)
    return answering(told, id)


def answering(event: Json, id: str | None) -> Json:  # noqa: A002  # the field's name
    """An event that answers a frame with this id."""
    return event if id is None else {**event, "id": id}


def _of_chat(event: Json, chat_id: str | None) -> Json:
    return event if chat_id is None else {**event, "chat_id": chat_id}
