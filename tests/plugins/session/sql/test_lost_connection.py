"""A PostgreSQL that goes away, hangs and comes back: errors meanwhile, nothing confirmed is lost."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator

import anyio
import pytest
from anyio import to_thread

from jackfield import StoreUnavailable
from jackfield.errors import ProviderTimedOut
from jackfield.resilience.guard import in_time
from jackfield.testing.session import LONG_S
from jackfield.testing.session_windows import pair
from jackfield_session_sql.store import SqlStore
from tests.plugins.session.sql.conftest import make_store
from tests.postgres_server import PostgresServer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """A server that may be killed."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
async def store(own_server: PostgresServer) -> AsyncIterator[SqlStore]:
    async with make_store(own_server.url(), statement_timeout_s=0.5, connect_timeout_s=0.5) as store:
        yield store


async def append(store: SqlStore, key: str, name: str = "1") -> bool:
    return await store.append(key, pair(name), max_messages=1000, ttl_s=LONG_S)


async def heal(store: SqlStore) -> None:
    """Wait until the store works again."""
    with anyio.fail_after(20):
        while True:
            try:
                await store.ping()
            except StoreUnavailable:
                await anyio.sleep(0.01)
            else:
                return


async def test_a_killed_server_is_an_error_until_it_is_back(
    own_server: PostgresServer, store: SqlStore, name: str
) -> None:
    await append(store, name)
    await to_thread.run_sync(own_server.kill)
    for attempt in (append(store, name), store.load(name), store.count(name, ttl_s=1), store.ping()):
        with pytest.raises(StoreUnavailable):
            await attempt
    await to_thread.run_sync(own_server.start)
    await append(store, name, "2")
    window = await store.load(name)
    assert window is not None
    assert window.messages == (*pair("1"), *pair("2"))


async def test_connections_that_died_unnoticed_are_replaced_without_an_error(
    own_server: PostgresServer, store: SqlStore, name: str
) -> None:
    async with anyio.create_task_group() as tasks:
        for at in range(10):
            tasks.start_soon(append, store, f"{name}-{at}")
    await to_thread.run_sync(own_server.kill)
    await to_thread.run_sync(own_server.start)
    await anyio.sleep(0)
    for at in range(10):
        assert not await append(store, f"{name}-{at}")


async def test_a_server_that_hangs_is_an_error_in_time_and_heals(
    own_server: PostgresServer, store: SqlStore, name: str
) -> None:
    await append(store, name)
    own_server.pause()
    try:
        began_s = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await append(store, name, "2")
        assert time.monotonic() - began_s < 5
    finally:
        own_server.resume()
    await heal(store)
    await append(store, name, "3")


async def test_a_caller_that_gives_up_meanwhile_leaves_nothing_behind(
    own_server: PostgresServer, store: SqlStore, name: str
) -> None:
    own_server.pause()
    try:
        with anyio.move_on_after(0.1):
            await append(store, name)
    except StoreUnavailable:
        pass
    finally:
        own_server.resume()
    await heal(store)
    async with anyio.create_task_group() as tasks:
        for at in range(20):
            tasks.start_soon(append, store, f"{name}-{at}")


async def test_a_time_limit_of_the_server_ends_the_waiting(own_server: PostgresServer, name: str) -> None:
    async with make_store(own_server.url()) as store:
        await append(store, name)
        own_server.pause()
        try:
            began_s = time.monotonic()
            with pytest.raises(ProviderTimedOut):
                await in_time(append(store, name, "2"), 0.2)
            assert time.monotonic() - began_s < 3.5
        finally:
            own_server.resume()
        await heal(store)
        await append(store, name, "3")


async def test_a_held_conversation_is_an_error_for_who_waits_too_long(store: SqlStore, name: str) -> None:
    await append(store, name)
    row = {"key": b"", "ttl_ms": 1000, "generation": 1}
    async with store._database.transaction() as connection:
        await connection.execute(store._open_window, row)
        with pytest.raises(StoreUnavailable, match="statement_timeout_s"):
            async with store._database.transaction() as other:
                await other.execute(store._open_window, row)
    assert not await append(store, name)


async def test_a_pool_that_is_used_up_is_an_error_that_names_its_option(
    own_server: PostgresServer, name: str
) -> None:
    async with make_store(own_server.url(), pool_size=1, connect_timeout_s=0.1) as store:
        async with store._database.reading():
            with pytest.raises(StoreUnavailable, match="pool_size"):
                await store.load(name)
        await store.load(name)


async def test_a_database_that_is_not_there_stops_the_start_with_an_error(own_server: PostgresServer) -> None:
    for url in (own_server.url("nowhere"), "postgresql://somebody:secret-123@127.0.0.1:9/jackfield"):
        with pytest.raises(StoreUnavailable) as raised:
            async with make_store(url):
                pass
        assert "secret-123" not in str(raised.value)


async def test_three_kills_under_load_lose_nothing_that_was_confirmed(
    own_server: PostgresServer, store: SqlStore, name: str
) -> None:
    confirmed: list[str] = []
    failed = 0

    async def write(writer: int) -> None:
        nonlocal failed
        for at in range(10_000):
            try:
                await append(store, f"{name}-{writer}", f"{writer}-{at}")
                confirmed.append(f"{writer}-{at}")
            except StoreUnavailable:
                failed += 1
                await anyio.sleep(0.01)

    async def reach(number: int) -> None:
        with anyio.fail_after(20):
            while len(confirmed) < number:
                await anyio.sleep(0.005)

    async with anyio.create_task_group() as tasks:
        for writer in range(4):
            tasks.start_soon(write, writer)
        for _ in range(3):
            await reach(len(confirmed) + 20)
            await to_thread.run_sync(own_server.kill)
            await to_thread.run_sync(own_server.start)
        await reach(len(confirmed) + 20)
        tasks.cancel_scope.cancel()

    stored: list[str] = []
    for writer in range(4):
        window = await store.load(f"{name}-{writer}")
        assert window is not None
        stored += [message.content.removeprefix("question ") for message in window.messages[::2]]
    assert failed
    assert set(confirmed) <= set(stored)
    assert len(stored) == len(set(stored))
