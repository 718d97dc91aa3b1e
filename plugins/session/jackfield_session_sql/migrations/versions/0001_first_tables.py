"""The first tables."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mssql

revision = "0001"
down_revision = None

_DIGEST = sa.LargeBinary(32).with_variant(mssql.BINARY(32), "mssql")
_IDENTIFIER = (
    sa.Text()
    .with_variant(sa.String(collation="C"), "postgresql")
    .with_variant(sa.Unicode(400, collation="Latin1_General_100_BIN2"), "mssql")
)
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_MOMENT = sa.DateTime(timezone=True)
_TABLES = (
    "leases",
    "counters",
    "shared_values",
    "signals",
    "channels",
    "user_settings",
    "messages",
    "conversations",
    "users",
    "windows",
)


def upgrade() -> None:
    """Make them."""
    _make_windows()
    _make_users()
    _make_conversations()
    _make_signals()
    _make_shared()


def downgrade() -> None:
    """Delete them with all that is in them."""
    for name in _TABLES:
        op.drop_table(name)


def _make_windows() -> None:
    op.create_table(
        "windows",
        sa.Column("session_key", _DIGEST, nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("messages", sa.UnicodeText(), nullable=False),
        sa.Column("preferences", sa.UnicodeText(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("session_key", name="pk_windows"),
    )
    op.create_index("ix_windows_expires_at_ms", "windows", ["expires_at_ms"])


def _make_users() -> None:
    op.create_table(
        "users",
        sa.Column("id", _IDENTIFIER, nullable=False),
        sa.Column("name", sa.UnicodeText(), nullable=False),
        sa.Column("name_folded", _IDENTIFIER, nullable=False),
        sa.Column("email", sa.UnicodeText()),
        sa.Column("email_folded", _IDENTIFIER),
        sa.Column("password_hash", sa.UnicodeText()),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
    )
    op.create_index("uq_users_name_folded", "users", ["name_folded"], unique=True)
    op.create_index(
        "uq_users_email_folded",
        "users",
        ["email_folded"],
        unique=True,
        mssql_where=sa.text("email_folded IS NOT NULL"),
    )
    op.create_table(
        "user_settings",
        sa.Column("user_id", _IDENTIFIER, nullable=False),
        sa.Column("settings", sa.UnicodeText(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_user_settings"),
    )


def _make_conversations() -> None:
    op.create_table(
        "conversations",
        sa.Column("id", _IDENTIFIER, nullable=False),
        sa.Column("user_id", _IDENTIFIER, nullable=False),
        sa.Column("title", sa.UnicodeText(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("updated_at", _MOMENT, nullable=False),
        sa.Column("last_message_at", _MOMENT),
        sa.Column("used_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_conversations"),
    )
    op.create_index("ix_conversations_user_id", "conversations", ["user_id", "used_at", "id"])
    op.create_table(
        "messages",
        sa.Column("position", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("id", _IDENTIFIER, nullable=False),
        sa.Column("conversation_id", _IDENTIFIER, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("content", sa.UnicodeText(), nullable=False),
        sa.Column("is_audio", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_messages"),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], "fk_messages_conversation_id", ondelete="CASCADE"
        ),
    )
    op.create_index("uq_messages_id", "messages", ["id"], unique=True)
    op.create_index("ix_messages_conversation_id", "messages", ["conversation_id", "position"])


def _make_signals() -> None:
    op.create_table(
        "channels",
        sa.Column("channel_key", _DIGEST, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("idle_after_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("channel_key", name="pk_channels"),
    )
    op.create_index("ix_channels_idle_after_ms", "channels", ["idle_after_ms"])
    op.create_table(
        "signals",
        sa.Column("channel_key", _DIGEST, nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("payload", sa.UnicodeText(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("channel_key", "sequence", name="pk_signals"),
    )
    op.create_index("ix_signals_expires_at_ms", "signals", ["expires_at_ms"])


def _make_shared() -> None:
    contents: dict[str, sa.Column[Any]] = {
        "shared_values": sa.Column("value", sa.UnicodeText(), nullable=False),
        "counters": sa.Column("amount", sa.BigInteger(), nullable=False),
        "leases": sa.Column("token", sa.BigInteger(), nullable=False),
    }
    for name, content in contents.items():
        op.create_table(
            name,
            sa.Column("shared_key", _DIGEST, nullable=False),
            content,
            sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
            sa.PrimaryKeyConstraint("shared_key", name=f"pk_{name}"),
        )
        op.create_index(f"ix_{name}_expires_at_ms", name, ["expires_at_ms"])
