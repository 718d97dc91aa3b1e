"""The tables, in the newest version; `migrations` brings a database there.

Keys of windows, signals and shared things are any text of any length, so they are kept as SHA-256 digests.
Ids of accounts, conversations and messages are kept as they are. Moments are microseconds exact.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    Unicode,
    UnicodeText,
)
from sqlalchemy.dialects import mssql
from sqlalchemy.types import TypeEngine

DIGEST_BYTES: Final = 32
_MSSQL_CHARS: Final = 400  # 800 bytes; two of them and a time fit into an index of Azure SQL
_BINARY: Final = "Latin1_General_100_BIN2"


def digest(key: str) -> bytes:
    """Give what a key is stored as."""
    return hashlib.sha256(key.encode(errors="surrogatepass")).digest()


class AnyText(TypeDecorator[str]):
    """Text in which databases' forbidden characters (NUL, halves of pairs) are replaced by U+FFFD."""

    impl = UnicodeText
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: Dialect) -> str | None:
        if value is None:
            return None
        text = value.replace("\0", "\ufffd")
        try:
            text.encode()
        except UnicodeEncodeError:
            return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return text


class Identifier(AnyText):
    """Text that is compared character by character, letter case included, in every database."""

    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[str]:
        if dialect.name == "mssql":
            return dialect.type_descriptor(Unicode(_MSSQL_CHARS, collation=_BINARY))
        if dialect.name == "postgresql":
            return dialect.type_descriptor(String(collation="C"))
        return dialect.type_descriptor(Text())


class Moment(TypeDecorator[datetime]):
    """An aware time in UTC, exact to the microsecond."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


_Digest = LargeBinary(DIGEST_BYTES).with_variant(mssql.BINARY(DIGEST_BYTES), "mssql")
_Serial = BigInteger().with_variant(Integer(), "sqlite")  # SQLite numbers rows by this type alone

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

windows: Final = Table(
    "windows",
    metadata,
    Column("session_key", _Digest, primary_key=True),
    # Drawn anew when a conversation begins, so that one statement can tell whether it did.
    Column("generation", BigInteger, nullable=False),
    Column("messages", UnicodeText, nullable=False),
    Column("preferences", UnicodeText, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False, index=True),
)

users: Final = Table(
    "users",
    metadata,
    Column("id", Identifier, primary_key=True),
    Column("name", AnyText, nullable=False),
    Column("name_folded", Identifier, nullable=False),
    Column("email", AnyText),
    Column("email_folded", Identifier),
    Column("password_hash", AnyText),
    Column("disabled", Boolean, nullable=False),
    Column("created_at", Moment, nullable=False),
)
Index("uq_users_name_folded", users.c.name_folded, unique=True)
# Azure SQL counts two users without an address as the same unless told otherwise.
Index(
    "uq_users_email_folded",
    users.c.email_folded,
    unique=True,
    mssql_where=users.c.email_folded.is_not(None),
)

conversations: Final = Table(
    "conversations",
    metadata,
    Column("id", Identifier, primary_key=True),
    # A user need not have an account: who comes by a token or a wallet has none.
    Column("user_id", Identifier, nullable=False),
    Column("title", AnyText, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("last_message_at", Moment),
    # When the last message was written, or when it was made: what lists are sorted by.
    Column("used_at", Moment, nullable=False),
)
Index("ix_conversations_user_id", conversations.c.user_id, conversations.c.used_at, conversations.c.id)

messages: Final = Table(
    "messages",
    metadata,
    Column("position", _Serial, primary_key=True, autoincrement=True),
    Column("id", Identifier, nullable=False),
    Column("conversation_id", Identifier, ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    Column("role", String(16), nullable=False),
    Column("content", AnyText, nullable=False),
    Column("is_audio", Boolean, nullable=False),
    Column("status", String(16), nullable=False),
    Column("created_at", Moment, nullable=False),
)
Index("uq_messages_id", messages.c.id, unique=True)
Index("ix_messages_conversation_id", messages.c.conversation_id, messages.c.position)

user_settings: Final = Table(
    "user_settings",
    metadata,
    Column("user_id", Identifier, primary_key=True),
    Column("settings", UnicodeText, nullable=False),
)

channels: Final = Table(
    "channels",
    metadata,
    Column("channel_key", _Digest, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("idle_after_ms", BigInteger, nullable=False, index=True),
)

signals: Final = Table(
    "signals",
    metadata,
    Column("channel_key", _Digest, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("payload", UnicodeText, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False, index=True),
)

shared_values: Final = Table(
    "shared_values",
    metadata,
    Column("shared_key", _Digest, primary_key=True),
    Column("value", AnyText, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False, index=True),
)

counters: Final = Table(
    "counters",
    metadata,
    Column("shared_key", _Digest, primary_key=True),
    Column("amount", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False, index=True),
)

leases: Final = Table(
    "leases",
    metadata,
    Column("shared_key", _Digest, primary_key=True),
    Column("token", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False, index=True),
)
