"""Signals between processes: told by PostgreSQL, polled on SQLite, never lost by a lost connection."""

from __future__ import annotations

import time
from typing import Any

import anyio
import pytest
from anyio import to_thread
from sqlalchemy import Executable
from sqlalchemy.ext.asyncio import AsyncConnection

from jackfield.testing.session_signals import next_signal
from jackfield_session_sql.database import Parameters
from jackfield_session_sql.notifications import Notifications
from jackfield_session_sql.signals import HEAD
from jackfield_session_sql.store import PING, SqlStore
from jackfield_session_sql.tables import digest
from tests.plugins.session.sql import child
from tests.plugins.session.sql.conftest import make_store
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.anyio

NEVER_S = 3600.0


@pytest.mark.timeout(60)
async def test_a_listener_hears_what_another_process_publishes(store: SqlStore, url: str, name: str) -> None:
    other = child.spawn(url, "publish", name, 5)
    async with store.subscribe(name) as signals:
        await to_thread.run_sync(child.begin, other)
        received = [await next_signal(signals) for _ in range(5)]
    await to_thread.run_sync(child.end, other)

    first = received[0].sequence
    assert [signal.sequence for signal in received] == list(range(first, first + 5))
    assert [signal.payload for signal in received] == [{"number": number} for number in range(5)]


async def test_signals_of_two_stores_come_in_the_order_of_their_numbers(
    store: SqlStore, url: str, name: str
) -> None:
    published: list[int] = []

    async def publish(by: SqlStore) -> None:
        published.extend([await by.publish(name, {}) for _ in range(20)])

    async with make_store(url) as other, store.subscribe(name) as signals:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(publish, store)
            tasks.start_soon(publish, other)
        received = [(await next_signal(signals)).sequence for _ in range(40)]

    assert received == sorted(published)
    assert len(set(received)) == 40


async def test_on_postgresql_nothing_is_polled(postgres: PostgresServer, name: str) -> None:
    with postgres.database() as url:
        store, other = make_store(url, poll_s=NEVER_S), make_store(url, poll_s=NEVER_S)
        async with store, other, store.subscribe(name) as signals:
            await other.publish(name, {"news": True})
            assert (await next_signal(signals)).payload == {"news": True}


async def test_listeners_of_the_same_process_do_not_wait_for_a_poll(url: str, name: str) -> None:
    async with make_store(url, poll_s=NEVER_S) as store, store.subscribe(name) as signals:
        await store.publish(name, {"number": 1})
        await store.publish(name, {"number": 2})
        numbers = [(await next_signal(signals)).payload["number"] for _ in range(2)]
    assert numbers == [1, 2]


async def test_what_another_process_publishes_on_sqlite_comes_within_the_interval(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    url = f"sqlite:///{tmp_path_factory.mktemp('polled')}/jackfield.db"
    store, other = make_store(url, poll_s=0.2), make_store(url)
    async with store, other, store.subscribe(name) as signals:
        await other.publish(name, {})
        began_s = time.monotonic()
        await next_signal(signals)
    assert time.monotonic() - began_s < 1.0


async def test_a_listener_whose_connection_was_lost_misses_nothing(
    postgres: PostgresServer, name: str
) -> None:
    with postgres.database() as url:
        async with make_store(url) as store, make_store(url) as other, store.subscribe(name) as signals:
            first = await other.publish(name, {})
            await next_signal(signals)
            await to_thread.run_sync(
                postgres.sql,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'jackfield' AND query LIKE 'LISTEN%'",
            )
            for _ in range(3):
                await other.publish(name, {})
            received = [(await next_signal(signals)).sequence for _ in range(3)]
            assert received == [first + 1, first + 2, first + 3]

            await other.publish(name, {"after": True})
            assert (await next_signal(signals)).payload == {"after": True}


async def test_a_connection_that_hangs_before_it_listens_is_given_up(
    postgres: PostgresServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    listen = Notifications._listen
    begun = 0

    async def hang_once(self: Notifications, connection: AsyncConnection) -> anyio.Event:
        nonlocal begun
        begun += 1
        if begun == 1:
            await anyio.sleep_forever()
        return await listen(self, connection)

    monkeypatch.setattr(Notifications, "_listen", hang_once)
    monkeypatch.setattr("jackfield_session_sql.notifications._SIGN_OF_LIFE_S", 0.5)
    with postgres.database() as url:
        async with make_store(url) as store, make_store(url) as other, store.subscribe(name) as signals:
            await other.publish(name, {})
            await next_signal(signals)


async def test_what_is_published_while_somebody_begins_to_listen_is_heard(
    url: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with make_store(url, poll_s=NEVER_S) as store, make_store(url) as other:
        read = store._database.read

        async def publish_after_reading(statement: Executable, values: Parameters | None = None) -> Any:
            rows = await read(statement, values)
            if statement is HEAD:
                store._listeners.heard(digest(name), await other.publish(name, {"early": True}))
                for _ in range(5):  # so that it was seen to be behind, and nothing could be done
                    await read(PING)
            return rows

        monkeypatch.setattr(store._database, "read", publish_after_reading)
        async with store.subscribe(name) as signals:
            assert (await next_signal(signals)).payload == {"early": True}


async def test_a_listener_that_was_away_too_long_sees_a_gap(url: str, name: str) -> None:
    from jackfield_session_sql.expiry import sweep

    async with make_store(url, poll_s=NEVER_S) as store, store.subscribe(name) as signals:
        first = await store.publish(name, {})
        await next_signal(signals)
        key = next(iter(store._listeners.channels))
        async with make_store(url, signals_kept_s=0.001) as other:
            store._listeners.channels[key].told = None  # it hears of nothing meanwhile
            await other.publish(name, {})
            await anyio.sleep(0.01)
            await sweep(other._database)
        store._listeners.channels[key].told = first
        await store.publish(name, {"after": True})
        assert (await next_signal(signals)).sequence == first + 2


async def test_a_listener_that_was_away_too_long_sees_the_gap_though_nothing_more_is_published(
    url: str, name: str
) -> None:
    from jackfield_session_sql.expiry import sweep

    async with make_store(url, poll_s=NEVER_S) as store, store.subscribe(name) as signals:
        first = await store.publish(name, {})
        await next_signal(signals)
        key = next(iter(store._listeners.channels))
        async with make_store(url, signals_kept_s=0.001) as other:
            store._listeners.channels[key].told = None  # it hears of nothing meanwhile
            await other.publish(name, {})
            await anyio.sleep(0.01)
            await sweep(other._database)
        store._listeners.channels[key].told = first
        store._listeners.may_have_missed()
        assert (await next_signal(signals)).sequence > first + 1
