"""The windows role: the newest messages of each conversation, for a while."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, Executable, UnicodeText, bindparam, case, delete, select, update

from jackfield.contracts.json_object import json_object, preferences_text
from jackfield.contracts.session import StoredMessage, Window
from jackfield_session_sql.address import Dialect
from jackfield_session_sql.database import Database
from jackfield_session_sql.lifetime import in_ms
from jackfield_session_sql.statements import after_ms, now_ms, upsert
from jackfield_session_sql.tables import digest, windows

_KEY: Final = windows.c.session_key
_IS_KEY: Final = bindparam("key", type_=_KEY.type) == _KEY
_LIVES: Final = windows.c.expires_at_ms > now_ms()

LOAD: Final = select(windows.c.messages, windows.c.preferences).where(_IS_KEY, _LIVES)
TOUCH: Final = update(windows).where(_IS_KEY, _LIVES).values(expires_at_ms=after_ms())
DELETE: Final = delete(windows).where(_IS_KEY, _LIVES)
SET_MESSAGES: Final = update(windows).where(_IS_KEY).values(messages=bindparam("kept", type_=UnicodeText))


def open_window(dialect: Dialect) -> Executable:
    """Have the row of a conversation, empty if it is new or has expired, and hold it for the transaction."""
    new = {
        "session_key": bindparam("key", type_=_KEY.type),
        "generation": bindparam("generation", type_=BigInteger),
        "messages": bindparam("nothing", "[]", type_=UnicodeText),
        "preferences": bindparam("no_preferences", "{}", type_=UnicodeText),
        "expires_at_ms": after_ms(),
    }
    kept = ("generation", "messages", "preferences")
    return upsert(
        dialect,
        windows,
        new,
        lambda excluded: {
            **{name: case((_LIVES, windows.c[name]), else_=excluded[name]) for name in kept},
            "expires_at_ms": excluded["expires_at_ms"],
        },
        returning=(windows.c.generation, windows.c.messages),
    )


def set_preferences(dialect: Dialect) -> Executable:
    """Replace the preferences of a conversation, which begins if it is new or has expired."""
    new = {
        "session_key": bindparam("key", type_=_KEY.type),
        "generation": bindparam("generation", type_=BigInteger),
        "messages": bindparam("nothing", "[]", type_=UnicodeText),
        "preferences": bindparam("preferences", type_=UnicodeText),
        "expires_at_ms": after_ms(),
    }
    kept = ("generation", "messages")
    return upsert(
        dialect,
        windows,
        new,
        lambda excluded: {
            **{name: case((_LIVES, windows.c[name]), else_=excluded[name]) for name in kept},
            "preferences": excluded["preferences"],
            "expires_at_ms": excluded["expires_at_ms"],
        },
        returning=(_KEY,),
    )


class SqlWindows:
    """Conversations by key, a row each. What has expired is never given, swept or not."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._open_window = open_window(database.dialect)
        self._set_preferences = set_preferences(database.dialect)

    async def append(
        self, key: str, messages: Sequence[StoredMessage], *, max_messages: int, ttl_s: float
    ) -> bool:
        generation = _new_generation()
        row = {"key": digest(key), "ttl_ms": in_ms(ttl_s), "generation": generation}
        added = [_written(message) for message in messages]
        async with self._database.transaction() as connection:
            found = (await connection.execute(self._open_window, row)).one()
            kept = [*json.loads(found.messages), *added][-max_messages:] if max_messages > 0 else []
            values = {"key": row["key"], "kept": json.dumps(kept, separators=(",", ":"))}
            await connection.execute(SET_MESSAGES, values)
        return bool(found.generation == generation)

    async def load(self, key: str) -> Window | None:
        rows = await self._database.read(LOAD, {"key": digest(key)})
        if not rows:
            return None
        messages, preferences = rows[0]
        return Window(tuple(map(_read, json.loads(messages))), json_object(preferences))

    async def touch(self, key: str, *, ttl_s: float) -> bool:
        return await self._database.change(TOUCH, {"key": digest(key), "ttl_ms": in_ms(ttl_s)}) > 0

    async def delete(self, key: str) -> bool:
        return await self._database.change(DELETE, {"key": digest(key)}) > 0

    async def set_preferences(self, key: str, preferences: Mapping[str, Any], *, ttl_s: float) -> None:
        text = preferences_text(preferences, ascii_only=True)
        row = {"key": digest(key), "ttl_ms": in_ms(ttl_s), "generation": _new_generation()}
        await self._database.write(self._set_preferences, {**row, "preferences": text})


def _new_generation() -> int:
    return secrets.randbits(62)


def _written(message: StoredMessage) -> list[Any]:
    """A message as JSON has it."""
    return [message.content, message.type, message.timestamp.isoformat(), message.is_user]


def _read(written: list[Any]) -> StoredMessage:
    content, kind, timestamp, is_user = written
    return StoredMessage(content, kind, datetime.fromisoformat(timestamp), is_user)
