"""Users, conversations and messages as Redis keeps them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from jackfield.contracts.session import Conversation, Record, User
from jackfield_session_redis.jsontext import from_json, to_bytes, to_json, to_text

_FIRST: Final = datetime(1, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_DIGITS: Final = 18
NEVER: Final = b"-" * _DIGITS
"""Stands where a conversation was never used. Like every moment it has eighteen characters."""

_STATUSES: Final[dict[bytes, Literal["ok", "unanswered"]]] = {b"o": "ok", b"u": "unanswered"}


def status_letter(status: Literal["ok", "unanswered"]) -> bytes:
    """Begins a message's row."""
    return status[:1].encode()


def moment(at: datetime) -> bytes:
    """Microseconds since the year one, as text that sorts like time; scripts compare it."""
    return b"%018d" % ((at - _FIRST) // _MICROSECOND)


def _datetime(at: bytes) -> datetime:
    return _FIRST + timedelta(microseconds=int(at))


def pack_user(user: User) -> bytes:
    """Write a user's row."""
    return to_json(asdict(user) | {"created_at": user.created_at.isoformat()})


def unpack_user(row: bytes) -> User:
    """Read it."""
    fields = from_json(row)
    return User(**fields | {"created_at": datetime.fromisoformat(fields["created_at"])})


def pack_conversation(conversation: Conversation) -> bytes:
    """Write a conversation's row: when it was made, changed and last used, and its title, spaces between."""
    used_at = conversation.last_message_at
    moments = moment(conversation.created_at), moment(conversation.updated_at)
    return b" ".join((*moments, moment(used_at) if used_at else NEVER, to_bytes(conversation.title)))


def unpack_conversation(user_id: str, conversation_id: str, row: bytes) -> Conversation:
    """Read it."""
    created_at, updated_at, used_at, title = row.split(b" ", 3)
    return Conversation(
        conversation_id,
        user_id,
        to_text(title),
        _datetime(created_at),
        _datetime(updated_at),
        None if used_at == NEVER else _datetime(used_at),
    )


def position(conversation: Conversation) -> bytes:
    """Where a conversation stands in its user's list: when it was last used, or made, and its id."""
    return moment(conversation.last_message_at or conversation.created_at) + to_bytes(conversation.id)


def pack_record(record: Record) -> bytes:
    """Write what never changes of a message; a script puts status, number and digests before it."""
    return to_json(
        [
            record.conversation_id,
            record.role,
            record.created_at.isoformat(),
            record.is_audio,
            record.content,
        ]
    )


def unpack_record(record_id: bytes, row: bytes) -> Record:
    """Read a message's whole row."""
    status, _number, _owner, _conversation, packed = row.split(b" ", 4)
    conversation_id, role, created_at, is_audio, content = from_json(packed)
    return Record(
        to_text(record_id),
        conversation_id,
        role,
        content,
        datetime.fromisoformat(created_at),
        is_audio,
        _STATUSES[status],
    )
