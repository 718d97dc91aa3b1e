"""The database finds sessions and users' conversations by an index, however many there are."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Executable
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

from jackfield.testing.session import moment
from jackfield_session_sql.accounts import SETTINGS, USER_BY_NAME
from jackfield_session_sql.expiry import SWEEPS
from jackfield_session_sql.records import CONVERSATIONS, MORE_CONVERSATIONS, OLDER_RECORDS, RECORDS
from jackfield_session_sql.store import SqlStore
from jackfield_session_sql.tables import digest
from jackfield_session_sql.windows import LOAD

pytestmark = pytest.mark.anyio

USER = {"of_user": "user", "most": 21}
LATER = {**USER, "at": moment(), "after_id": "conversation"}
MESSAGES = {"of_conversation": "conversation", "most": 21}


async def plan(store: SqlStore, statement: Executable, values: dict[str, Any]) -> str:
    """How the database would answer, if the tables were large."""
    engine = store._database._engine
    assert isinstance(statement, ClauseElement)
    compiled = statement.compile(dialect=engine.dialect)
    assert isinstance(compiled, SQLCompiler)
    filled = compiled.construct_params(values)
    given: list[Any] = []
    for name in compiled.positiontup or []:
        processor = compiled._bind_processors.get(name)
        given.append(processor(filled[name]) if callable(processor) else filled[name])
    async with engine.connect() as connection:
        if store._database.dialect == "postgresql":
            await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            await connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
            await connection.exec_driver_sql("SET LOCAL enable_sort = off")
        explain = "EXPLAIN QUERY PLAN" if store._database.dialect == "sqlite" else "EXPLAIN"
        rows = await connection.exec_driver_sql(f"{explain} {compiled}", tuple(given))
        return "\n".join(str(row[-1]) for row in rows)


@pytest.mark.contract("RC-34")
async def test_a_session_is_found_by_its_key(store: SqlStore) -> None:
    found = await plan(store, LOAD, {"key": digest("session")})
    assert "pk_windows" in found or "sqlite_autoindex_windows_1 (session_key=?)" in found


@pytest.mark.contract("RC-34")
@pytest.mark.parametrize(("statement", "values"), [(CONVERSATIONS, USER), (MORE_CONVERSATIONS, LATER)])
async def test_a_users_conversations_are_found_in_their_order(
    store: SqlStore, statement: Executable, values: dict[str, Any]
) -> None:
    found = await plan(store, statement, values)
    assert "ix_conversations_user_id" in found
    assert "Sort" not in found
    assert "TEMP B-TREE" not in found


@pytest.mark.parametrize(
    ("statement", "values"), [(RECORDS, MESSAGES), (OLDER_RECORDS, {**MESSAGES, "before_position": 5})]
)
async def test_a_conversations_messages_are_found_in_their_order(
    store: SqlStore, statement: Executable, values: dict[str, Any]
) -> None:
    found = await plan(store, statement, values)
    assert "ix_messages_conversation_id" in found
    assert "Sort" not in found
    assert "TEMP B-TREE" not in found


async def test_users_and_settings_are_found_by_name_and_id(store: SqlStore) -> None:
    assert "uq_users_name_folded" in await plan(store, USER_BY_NAME, {"folded": "zoe"})
    settings = await plan(store, SETTINGS, {"of_user": "user"})
    assert "pk_user_settings" in settings or "sqlite_autoindex_user_settings_1" in settings


async def test_what_is_due_is_found_by_an_index(store: SqlStore) -> None:
    for statement, _late_ms in SWEEPS:
        found = await plan(store, statement, {"late_ms": 0, "most": 1000})
        assert "expires_at_ms" in found or "idle_after_ms" in found
