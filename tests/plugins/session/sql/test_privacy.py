"""What users wrote shows in no error, however the database words it."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text

from jackfield import StoreUnavailable
from jackfield.contracts.session import Conflict, Conversation, Record, StoredMessage, User
from jackfield.testing.session import LONG_S, moment
from jackfield_session_sql.store import SqlStore
from tests.plugins.session.sql.conftest import make_store

pytestmark = pytest.mark.anyio

SAID = "my-secret-words"


async def append(store: SqlStore) -> None:
    message = StoredMessage(SAID, "text", moment(), is_user=True)
    await store.append(SAID, [message], max_messages=10, ttl_s=LONG_S)


async def add_user(store: SqlStore) -> None:
    await store.add_user(User(SAID, SAID, moment(), f"{SAID}@example.org", SAID))


async def add_conversation(store: SqlStore) -> None:
    await store.add_conversation(Conversation(SAID, SAID, SAID, moment(), moment()))


async def add_records(store: SqlStore) -> None:
    await store.add_records(SAID, [Record(SAID, SAID, "user", SAID, moment())])


async def put(store: SqlStore) -> None:
    await store.put(SAID, SAID, ttl_s=LONG_S)


async def update_settings(store: SqlStore) -> None:
    await store.update_settings(SAID, {"name": SAID})


async def publish(store: SqlStore) -> None:
    await store.publish(SAID, {"said": SAID})


WRITES = [append, add_user, add_conversation, add_records, put, update_settings, publish]
TABLES = ["windows", "users", "conversations", "messages", "shared_values", "user_settings", "signals"]


@pytest.mark.parametrize(("write", "table"), list(zip(WRITES, TABLES, strict=True)))
async def test_an_error_of_the_database_quotes_nothing(
    empty_url: str,
    write: Callable[[SqlStore], Awaitable[None]],
    table: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with make_store(empty_url) as store:
        await add_conversation(store)
        if write is add_conversation:
            await store.delete_conversation(SAID, SAID)
        async with store._database.transaction() as connection:
            await connection.execute(text(f"ALTER TABLE {table} RENAME TO elsewhere"))
        with pytest.raises(StoreUnavailable) as raised:
            await write(store)

    assert SAID not in "".join(traceback.format_exception(raised.value))
    assert SAID not in caplog.text


@pytest.mark.parametrize("add", [add_user, add_conversation, add_records])
async def test_a_conflict_quotes_nothing(
    empty_url: str, add: Callable[[SqlStore], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with make_store(empty_url) as store:
        if add is add_records:
            await add_conversation(store)
        await add(store)
        with pytest.raises(Conflict) as raised:
            await add(store)

    assert SAID not in "".join(traceback.format_exception(raised.value))
    assert SAID not in caplog.text


@pytest.mark.parametrize("content", ["a\0b", "a\ud800b"], ids=["nul", "half_a_pair"])
async def test_characters_that_databases_forbid_are_replaced_in_records(
    store: SqlStore, name: str, content: str
) -> None:
    await store.add_conversation(Conversation(name, name, content, moment(), moment()))
    await store.add_records(name, [Record(f"{name}-1", name, "user", content, moment())])
    page = await store.records(name, name, limit=1)
    assert page is not None
    assert page.items[0].content == "a\ufffdb"


@pytest.mark.parametrize("content", ["a\0b", "a\ud800b"], ids=["nul", "half_a_pair"])
async def test_they_are_kept_in_windows_and_settings(store: SqlStore, name: str, content: str) -> None:
    message = StoredMessage(content, "text", moment(), is_user=True)
    await store.append(name, [message], max_messages=10, ttl_s=LONG_S)
    window = await store.load(name)
    assert window is not None
    assert window.messages == (message,)
    assert await store.update_settings(name, {"key": content}) == {"key": content}
