"""What has expired goes, and what must be remembered of it stays."""

from __future__ import annotations

import anyio
import pytest
from sqlalchemy import Table, func, select

from jackfield.testing.session import LONG_S
from jackfield.testing.session_windows import pair
from jackfield_session_sql.expiry import sweep
from jackfield_session_sql.store import SqlStore
from jackfield_session_sql.tables import (
    channels,
    counters,
    digest,
    leases,
    shared_values,
    signals,
    windows,
)
from tests.plugins.session.sql.conftest import advance_by, make_store

pytestmark = pytest.mark.anyio

DAY_S = 86_400.0


async def rows_of(store: SqlStore, table: Table, key: str) -> int:
    """How many rows a key has."""
    column = next(iter(table.primary_key.columns))
    statement = select(func.count()).select_from(table).where(column == digest(key))
    return int((await store._database.read(statement))[0][0])


async def fill(store: SqlStore, name: str) -> None:
    """Put something into every table whose rows expire."""
    await store.append(name, pair("1"), max_messages=10, ttl_s=LONG_S)
    await store.put(name, "value", ttl_s=LONG_S)
    await store.count(name, ttl_s=LONG_S)
    await store.lease(name, ttl_s=LONG_S)
    await store.publish(name, {})


async def test_a_sweep_removes_what_has_expired_and_nothing_else(store: SqlStore, name: str) -> None:
    await fill(store, name)
    await advance_by(store)(LONG_S + 1)
    await fill(store, f"{name}-alive")
    await sweep(store._database)

    expiring = (windows, shared_values, counters, signals)
    assert [await rows_of(store, table, name) for table in expiring] == [0, 0, 0, 0]
    assert [await rows_of(store, table, f"{name}-alive") for table in expiring] == [1, 1, 1, 1]
    assert await store.load(f"{name}-alive") is not None


async def test_what_has_expired_is_removed_also_when_nobody_asks(url: str, name: str) -> None:
    async with make_store(url, sweep_s=0.01) as store:
        await store.put(name, "value", ttl_s=0.001)
        with anyio.fail_after(5):
            while await rows_of(store, shared_values, name):
                await anyio.sleep(0.005)


async def test_a_lease_is_remembered_for_a_day_after_its_end(store: SqlStore, name: str) -> None:
    await store.lease(name, ttl_s=LONG_S)
    await advance_by(store)(LONG_S + 1)
    await sweep(store._database)
    assert await rows_of(store, leases, name) == 1
    await advance_by(store)(DAY_S)
    await sweep(store._database)
    assert await rows_of(store, leases, name) == 0


async def test_tokens_grow_also_when_the_last_lease_was_swept(store: SqlStore, name: str) -> None:
    before = await store.lease(name, ttl_s=LONG_S)
    await advance_by(store)(LONG_S + DAY_S + 1)
    await sweep(store._database)
    after = await store.lease(name, ttl_s=LONG_S)
    assert before is not None
    assert after is not None
    assert before.token < after.token


async def test_numbers_of_a_channel_grow_also_when_it_was_swept(store: SqlStore, name: str) -> None:
    before = await store.publish(name, {})
    async with store._database.transaction() as connection:
        await connection.execute(channels.update().values(idle_after_ms=0))
    await sweep(store._database)
    assert await rows_of(store, channels, name) == 0
    assert await store.publish(name, {}) > before


async def test_a_life_without_end_is_kept(store: SqlStore, name: str) -> None:
    await store.append(name, pair("1"), max_messages=10, ttl_s=float("inf"))
    assert await store.load(name) is not None
