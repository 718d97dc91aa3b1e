"""The Redis store when Redis is away, slow, full or unwilling."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import pytest

from jackfield import StoreUnavailable
from jackfield_session_redis.direct import DirectLink
from jackfield_session_redis.store import RedisStore
from tests.plugins.session.redis.stores import keep, kept, make_store, pair
from tests.redis_server import DURABLE, PASSING, RedisServer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

SECRET = "open sesame"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own, which keeps what it acknowledged."""
    with RedisServer(tmp_path, DURABLE) as server:
        yield server


@pytest.fixture
async def mortal(server: RedisServer) -> AsyncIterator[RedisStore]:
    """A store in that server."""
    async with make_store(server.url) as store:
        yield store


async def test_a_killed_redis_is_unavailable_and_is_found_again_with_its_data(
    server: RedisServer, mortal: RedisStore
) -> None:
    await keep(mortal, "key", "1")
    server.kill()
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match=str(server.port)):
            await keep(mortal, "key", "lost")
    with pytest.raises(StoreUnavailable):
        await mortal.ping()
    server.start()
    await keep(mortal, "key", "2")
    assert await kept(mortal, "key") == ["question 1", "answer 1", "question 2", "answer 2"]


async def test_a_redis_that_restarted_unnoticed_costs_nobody_an_error(
    server: RedisServer, mortal: RedisStore
) -> None:
    async with anyio.create_task_group() as tasks:
        for at in range(10):
            tasks.start_soon(keep, mortal, "key", str(at))
    server.kill()
    server.start()
    link = mortal._link
    assert isinstance(link, DirectLink)
    with anyio.fail_after(5):
        while not all([await connection.can_read() for connection in link.pool._idle]):
            await anyio.sleep(0.001)  # the loop reads that they ended
    for at in range(10):
        await keep(mortal, "key", f"again {at}")
    assert len(await kept(mortal, "key")) == 40


async def test_a_redis_that_hangs_is_unavailable_in_time(server: RedisServer) -> None:
    async with make_store(server.url, timeout_s=0.2) as store:
        await store.ping()
        os.kill(server.pid, signal.SIGSTOP)
        try:
            with anyio.fail_after(2), pytest.raises(StoreUnavailable, match="in time"):
                await keep(store, "key")
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert await store.load("other") is None


async def test_the_answer_to_a_cancelled_operation_is_never_given_to_another(mortal: RedisStore) -> None:
    for at in range(50):
        await mortal.put(f"key {at}", f"value {at}", ttl_s=60)
    for at in range(50):
        with anyio.move_on_after(at * 0.00002):
            await mortal.get(f"key {at}")
        assert await mortal.get(f"key {49 - at}") == f"value {49 - at}"


async def test_many_at_once_share_a_bounded_number_of_connections(server: RedisServer) -> None:
    async with make_store(server.url, pool_size=5) as store:
        async with anyio.create_task_group() as tasks:
            for at in range(200):
                tasks.start_soon(keep, store, "key", str(at))
        clients: bytes = await store._link.run("CLIENT", "LIST", "TYPE", "normal")
        assert len(clients.splitlines()) == 5
        assert len(await kept(store, "key")) == 400


async def test_closing_it_closes_its_connections(server: RedisServer, mortal: RedisStore) -> None:
    async with make_store(server.url) as store, store.subscribe("key"):
        await keep(store, "key")
    with anyio.fail_after(5):
        while len((await mortal._link.run("CLIENT", "LIST")).splitlines()) > 1:
            await anyio.sleep(0.005)


async def test_a_full_redis_says_so_and_serves_what_it_has(server: RedisServer, mortal: RedisStore) -> None:
    await keep(mortal, "key")
    await mortal._link.run("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(StoreUnavailable, match="maxmemory"):
        await keep(mortal, "key", "x" * 2_000_000)
    assert (await kept(mortal, "key"))[0] == "question 1"


async def test_a_replica_is_told_from_a_primary_and_looked_for_anew(mortal: RedisStore) -> None:
    before = await mortal._link.run("CLIENT", "ID")
    await mortal._link.run("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(StoreUnavailable, match="replica"):
        await keep(mortal, "key")
    assert await mortal._link.run("CLIENT", "ID") != before
    await mortal._link.run("REPLICAOF", "NO", "ONE")
    await keep(mortal, "key")


async def test_a_password_is_needed_and_never_told(tmp_path: Path) -> None:
    with RedisServer(tmp_path, [*PASSING, "--requirepass", SECRET]) as server:
        for options in ({}, {"password": "wrong"}, {"password": SECRET, "username": "nobody"}):
            async with make_store(server.url, **options) as store:
                with pytest.raises(StoreUnavailable, match="password") as refusal:
                    await store.ping()
                assert SECRET not in str(refusal.value)
        async with make_store(server.url, password=SECRET) as store:
            await store.ping()
        signed = server.url.replace("redis://", f"redis://default:{SECRET.replace(' ', '%20')}@")
        async with make_store(signed) as store:
            await store.ping()


async def test_a_user_who_may_not_is_told_so(server: RedisServer, mortal: RedisStore) -> None:
    await mortal._link.run(
        "ACL", "SETUSER", "reader", "on", ">word", "~jackfield:*", "&jackfield:*", "+@read"
    )
    async with make_store(server.url, username="reader", password="word") as store:
        assert await store.load("key") is None
        with pytest.raises(StoreUnavailable, match="ACL"):
            await keep(store, "key")
        assert await store.size_bytes() is None


async def test_a_user_with_the_documented_permissions_can_do_everything(
    server: RedisServer, mortal: RedisStore
) -> None:
    rules = ["~jackfield:*", "&jackfield:*", "+@all", "-@admin", "-@dangerous", "+info", "+config|get"]
    await mortal._link.run("ACL", "SETUSER", "app", "on", ">word", *rules)
    async with make_store(server.url, username="app", password="word", persistent=True) as store:
        await keep(store, "key")
        assert await store.size_bytes()
        async with store.subscribe("key") as signals:
            await store.publish("key", {"news": True})
            assert (await anext(signals)).payload == {"news": True}


async def test_an_error_quotes_neither_keys_nor_values(tmp_path: Path) -> None:
    with RedisServer(tmp_path, [*PASSING, "--rename-command", "GETDEL", ""]) as server:
        async with make_store(server.url) as store:
            with pytest.raises(StoreUnavailable) as refusal:
                await store.take(SECRET)  # Redis answers with the command's arguments
            shown = "".join(traceback.format_exception(refusal.value))
            assert "did not do what it was asked: ResponseError." in shown
            assert SECRET not in shown
            await store._link.run("SET", b"jackfield:window:key", "not a list")
            with pytest.raises(StoreUnavailable, match=r"WRONGTYPE|ResponseError"):
                await store.append("key", pair(SECRET), max_messages=10, ttl_s=60)


async def test_it_talks_over_a_unix_socket(tmp_path: Path) -> None:
    with TemporaryDirectory() as folder:  # the path of a socket is short
        socket = f"{folder}/redis.sock"
        with RedisServer(tmp_path, [*PASSING, "--unixsocket", socket]):
            async with make_store(f"unix://{socket}") as store:
                await keep(store, "key")
                assert len(await kept(store, "key")) == 2


async def test_it_may_be_closed_twice(redis_server: RedisServer) -> None:
    store = make_store(redis_server.url)
    async with store:
        await store.ping()
    await store.__aexit__(None, None, None)
