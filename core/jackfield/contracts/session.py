"""Session stores: what is remembered between requests, in four roles.

A store implements one role or more, each a Protocol here, and declares them in its capabilities. Whether
a role survives a restart is a separate fact, declared as `persistent`. Times are aware datetimes in UTC.
Keys are opaque to a store. Every method is atomic: two callers never see half of one another's work.

:raises StoreUnavailable: by every method, when the store cannot be reached, or is full.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

T = TypeVar("T")


@runtime_checkable
class SessionStore(Protocol):
    """What every store has, whatever its roles."""

    async def ping(self) -> None:
        """Return when the store can be reached."""
        ...

    async def size_bytes(self) -> int | None:
        """Bytes it holds, or None when it cannot tell."""
        ...


# Windows: the last messages of a conversation, bounded and expiring.


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One message of a window."""

    content: str
    type: Literal["text", "voice"]
    timestamp: datetime
    is_user: bool


@dataclass(frozen=True, slots=True)
class Window:
    """The newest messages of a conversation, oldest first, and what its user prefers."""

    messages: tuple[StoredMessage, ...] = ()
    preferences: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Windows(SessionStore, Protocol):
    """Bounded, expiring conversations."""

    async def append(
        self, key: str, messages: Sequence[StoredMessage], *, max_messages: int, ttl_s: float
    ) -> bool:
        """Add messages as one step, keep the newest `max_messages`, and restart the clock.

        True when the conversation was new (or had expired).
        """
        ...

    async def load(self, key: str) -> Window | None:
        """Give the window; None when unknown or expired. Does not restart the clock."""
        ...

    async def touch(self, key: str, *, ttl_s: float) -> bool:
        """Restart the clock; False when unknown or expired."""
        ...

    async def delete(self, key: str) -> bool:
        """Forget the conversation; False when unknown or expired."""
        ...

    async def set_preferences(self, key: str, preferences: Mapping[str, Any], *, ttl_s: float) -> None:
        """Replace the preferences (a JSON object of at most 4096 bytes) and restart the clock.

        :raises ValueError: when they are larger, or not JSON.
        """
        ...


# Records: users, conversations, messages and settings, kept until they are deleted.


@dataclass(frozen=True, slots=True)
class User:
    """Somebody with an account. `password_hash` is opaque to the store."""

    id: str
    name: str
    created_at: datetime
    email: str | None = None
    password_hash: str | None = field(default=None, repr=False)
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation's envelope."""

    id: str
    user_id: str
    title: str
    created_at: datetime
    updated_at: datetime
    last_message_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A message of a conversation. `status` is `unanswered` when a question got no answer."""

    id: str
    conversation_id: str
    role: Literal["user", "assistant"]
    content: str
    created_at: datetime
    is_audio: bool = False
    status: Literal["ok", "unanswered"] = "ok"


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Part of a list; `next_cursor` asks for the next part and is None at the end."""

    items: tuple[T, ...]
    next_cursor: str | None = None


class Conflict(Exception):
    """Raised when something of that id or name exists already."""


@runtime_checkable
class Records(SessionStore, Protocol):
    """Durable things. A user's conversations are reached only by naming the user."""

    async def add_user(self, user: User) -> None:
        """Add an account.

        :raises Conflict: when the id, the name (letter case aside) or the e-mail address is taken.
        """
        ...

    async def user(self, user_id: str) -> User | None:
        """Give a user by id."""
        ...

    async def user_by_name(self, name: str) -> User | None:
        """Give a user by name, letter case aside."""
        ...

    async def add_conversation(self, conversation: Conversation) -> None:
        """Add a conversation.

        :raises Conflict: when the id is taken.
        """
        ...

    async def conversation(self, user_id: str, conversation_id: str) -> Conversation | None:
        """Give one; None when unknown or another user's."""
        ...

    async def conversations(
        self, user_id: str, *, limit: int, cursor: str | None = None
    ) -> Page[Conversation]:
        """List them by `last_message_at`, never-used ones by `created_at`, newest first.

        :raises ValueError: when the cursor is not one of this list's.
        """
        ...

    async def rename_conversation(
        self, user_id: str, conversation_id: str, title: str, at: datetime
    ) -> Conversation | None:
        """Change the title; None when unknown or another user's."""
        ...

    async def delete_conversation(self, user_id: str, conversation_id: str) -> bool:
        """Delete it with its messages; False when unknown or another user's."""
        ...

    async def add_records(self, user_id: str, records: Sequence[Record]) -> bool:
        """Add messages of one conversation as one step; False when it is unknown or another user's.

        :raises Conflict: when one of the ids is taken; none is added.
        """
        ...

    async def set_record_status(
        self, user_id: str, record_id: str, status: Literal["ok", "unanswered"]
    ) -> bool:
        """Mark a message; False when unknown or another user's."""
        ...

    async def records(
        self, user_id: str, conversation_id: str, *, limit: int, before: str | None = None
    ) -> Page[Record] | None:
        """Give the newest `limit` messages older than message `before`, oldest first.

        `next_cursor` is the `before` of the page of still older ones. None when the conversation is
        unknown or another user's.

        :raises ValueError: when `before` is no message of the conversation.
        """
        ...

    async def count_records(self, user_id: str, conversation_id: str) -> int | None:
        """Count messages; None when the conversation is unknown or another user's."""
        ...

    async def settings(self, user_id: str) -> Mapping[str, Any]:
        """Give the user's settings, a flat JSON object; empty for a new user."""
        ...

    async def update_settings(self, user_id: str, changes: Mapping[str, Any]) -> Mapping[str, Any]:
        """Change the named keys and no others, and give all of them."""
        ...


# Signals: telling other doors, and other replicas, that something changed.


@dataclass(frozen=True, slots=True)
class Signal:
    """Something changed for a user. A gap in `sequence` means: read again."""

    sequence: int
    payload: Mapping[str, Any]


@runtime_checkable
class Signals(SessionStore, Protocol):
    """Publish and subscribe, a channel a user."""

    async def publish(self, channel: str, payload: Mapping[str, Any]) -> int:
        """Tell every subscriber of the channel; gives the sequence number, which grows by one."""
        ...

    def subscribe(self, channel: str) -> AbstractAsyncContextManager[AsyncIterator[Signal]]:
        """Listen from now on. A slow listener loses the oldest signals, and sees the gap."""
        ...


# Shared: small things that all replicas must agree on.


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to be the only one, until it expires.

    `token` grows with every lease of the key, so that whoever is written to can refuse a late writer.
    """

    key: str
    token: int


@runtime_checkable
class Shared(SessionStore, Protocol):
    """Values, counters and leases that expire."""

    async def put(self, key: str, value: str, *, ttl_s: float, only_if_absent: bool = False) -> bool:
        """Keep a value; False when it was there already and `only_if_absent` is set."""
        ...

    async def get(self, key: str) -> str | None:
        """Give a value and leave it."""
        ...

    async def take(self, key: str) -> str | None:
        """Give a value and remove it: of several callers exactly one gets it."""
        ...

    async def count(self, key: str, *, ttl_s: float, by: int = 1) -> int:
        """Add to a counter and give the sum; the first addition starts its clock."""
        ...

    async def lease(self, key: str, *, ttl_s: float) -> Lease | None:
        """Take a lease; None while another holds it."""
        ...

    async def renew(self, lease: Lease, *, ttl_s: float) -> bool:
        """Hold it longer; False when it was lost."""
        ...

    async def release(self, lease: Lease) -> bool:
        """Give it back; False when it was lost."""
        ...
