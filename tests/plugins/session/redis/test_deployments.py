"""The Redis store over TLS, behind Sentinel and in a cluster."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from shutil import which
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener

from jackfield import StoreUnavailable
from jackfield.contracts.session import Conversation, Record, User
from jackfield.testing.session import moment
from jackfield_session_redis.direct import DirectLink
from jackfield_session_redis.store import RedisStore
from tests.plugins.session.redis.stores import keep, kept, make_store
from tests.redis_server import PASSING, RedisServer, free_port

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


async def try_every_role(store: RedisStore) -> None:
    """Do something of each role."""
    await keep(store, "key{of}braces")
    assert len(await kept(store, "key{of}braces")) == 2
    await store.add_user(User("me", "Me", moment()))
    await store.add_conversation(Conversation("tea", "me", "About tea", moment(), moment()))
    assert await store.add_records("me", [Record("1", "tea", "user", "content", moment())])
    assert await store.count_records("me", "tea") == 1
    assert await store.delete_conversation("me", "tea")
    await store.update_settings("me", {"theme": "dark"})
    assert await store.settings("me") == {"theme": "dark"}
    for at in range(30):  # over all servers of a cluster
        key = f"key {at}"
        await store.put(key, key, ttl_s=60)
        assert await store.take(key) == key
        assert await store.count(key, ttl_s=60) == 1
        lease = await store.lease(key, ttl_s=60)
        assert lease is not None
        assert await store.release(lease)
    async with store.subscribe("news") as signals:
        await store.publish("news", {"at": 1})
        with anyio.fail_after(5):
            assert (await anext(signals)).payload == {"at": 1}
    await store.ping()
    assert await store.size_bytes()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with cert.pem, which signs itself, and key.pem."""
    if which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    folder = tmp_path_factory.mktemp("certificate")
    kind = "-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=redis"
    more = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(["openssl", "req", *kind.split(), *more], check=True, capture_output=True, cwd=folder)
    return folder


@asynccontextmanager
async def behind_tls(server: RedisServer, certificate: Path) -> AsyncIterator[str]:
    """Put TLS before a server; gives the address."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")

    async def pass_on(source: ByteStream, target: ByteStream) -> None:
        try:
            async for data in source:
                await target.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass

    async def serve(near: ByteStream) -> None:
        far = await anyio.connect_tcp("127.0.0.1", server.port)
        async with near, far, anyio.create_task_group() as tasks:
            tasks.start_soon(pass_on, far, near)
            await pass_on(near, far)
            tasks.cancel_scope.cancel()

    plain = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = plain.listeners[0].extra(SocketAttribute.local_port)
    listener = TLSListener(plain, context, standard_compatible=False)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield f"rediss://127.0.0.1:{port}/0"
        tasks.cancel_scope.cancel()


async def test_it_talks_over_tls_to_whom_a_certificate_proves(
    redis_server: RedisServer, certificate: Path
) -> None:
    trust = certificate / "cert.pem"
    async with behind_tls(redis_server, certificate) as url, make_store(url, tls_ca_file=trust) as store:
        await try_every_role(store)


async def test_connections_share_what_was_read_of_certificates(
    redis_server: RedisServer, certificate: Path
) -> None:
    trust = certificate / "cert.pem"
    async with behind_tls(redis_server, certificate) as url, make_store(url, tls_ca_file=trust) as store:
        async with anyio.create_task_group() as tasks:
            for at in range(8):
                tasks.start_soon(keep, store, f"tls {at}")
        link = store._link
        assert isinstance(link, DirectLink)
        connections: list[Any] = list(link.pool._idle)
        assert len(connections) == 8
        assert len({id(connection.ssl_context.get()) for connection in connections}) == 1


@pytest.mark.parametrize("url", ["rediss://host", "rediss+cluster://host", "rediss+sentinel://host/main"])
def test_a_file_that_is_no_certificate_is_named_before_anything_starts(url: str) -> None:
    with pytest.raises(OSError, match=r"test_deployments\.py"):
        make_store(url, tls_ca_file=__file__)


async def test_a_certificate_that_nobody_vouches_for_is_refused(
    redis_server: RedisServer, certificate: Path
) -> None:
    async with behind_tls(redis_server, certificate) as url, make_store(url) as store:
        with pytest.raises(StoreUnavailable, match="certificate"):
            await store.ping()


@pytest.fixture
def group(tmp_path: Path) -> Iterator[tuple[str, RedisServer, RedisServer]]:
    """A primary, its replica and a Sentinel that watches them; gives the address and both servers."""
    with ExitStack() as stack:
        primary = stack.enter_context(RedisServer(tmp_path / "primary"))
        follow = ["--replicaof", f"127.0.0.1 {primary.port}", "--repl-diskless-sync-delay", "0"]
        replica = stack.enter_context(RedisServer(tmp_path / "replica", [*PASSING, *follow]))
        file = tmp_path / "sentinel.conf"
        file.write_text(
            f"sentinel monitor main 127.0.0.1 {primary.port} 1\n"
            "sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 3000\n"
        )
        sentinel = stack.enter_context(RedisServer(tmp_path / "sentinel", ["--sentinel"], config=file))
        yield f"redis+sentinel://127.0.0.1:{sentinel.port}/main", primary, replica


async def test_sentinel_says_where_the_primary_is_and_where_the_next_one(
    group: tuple[str, RedisServer, RedisServer],
) -> None:
    url, primary, replica = group
    async with make_store(url) as store:
        await try_every_role(store)
        await keep(store, "key", "1")
        async with make_store(replica.url) as other:
            with anyio.fail_after(20):
                while not await kept(other, "key"):
                    await anyio.sleep(0.01)
        async with store.subscribe("news") as signals:
            first = await store.publish("news", {})
            await anext(signals)
            primary.kill()
            with pytest.raises(StoreUnavailable):
                await keep(store, "key", "lost")
            with anyio.fail_after(30):
                await _until_it_is_back(store)
                assert (await anext(signals)).sequence > first + 1
        assert (await kept(store, "key"))[:2] == ["question 1", "answer 1"]


async def _until_it_is_back(store: RedisStore) -> None:
    while True:
        try:
            await keep(store, "key", "2")
            return
        except StoreUnavailable:
            await anyio.sleep(0.02)


SLOTS = 16384


@contextmanager
def running_cluster(folder: Path, size: int) -> Iterator[list[RedisServer]]:
    """Servers that share the keys, the first slots at the first one."""
    settings = [*PASSING, "--cluster-enabled", "yes", "--cluster-require-full-coverage", "no"]
    share = SLOTS // size + 1
    with ExitStack() as stack:
        servers = [stack.enter_context(RedisServer(folder / str(at), settings)) for at in range(size)]
        for number, server in enumerate(servers):
            first, last = number * share, min((number + 1) * share, SLOTS) - 1
            server.ask("CLUSTER", "ADDSLOTSRANGE", str(first), str(last))
            server.ask("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
        for server in servers[1:]:
            servers[0].ask("CLUSTER", "MEET", "127.0.0.1", str(server.port))
        for server in servers:
            server.wait_for("CLUSTER INFO", f"cluster_slots_ok:{SLOTS}")
            server.wait_for("CLUSTER INFO", "cluster_state:ok")
            server.wait_for(
                "CLUSTER NODES", " connected", times=size
            )  # or what is published is not passed on
        yield servers


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RedisServer]]:
    """Three servers."""
    with running_cluster(tmp_path_factory.mktemp("cluster"), 3) as servers:
        yield servers


async def test_a_cluster_has_every_key_in_its_place(cluster: list[RedisServer]) -> None:
    url = f"redis+cluster://127.0.0.1:{cluster[0].port},127.0.0.1:{cluster[1].port}"
    async with make_store(url) as store:
        await try_every_role(store)
        for at in range(60):
            await keep(store, f"conversation {at}")
    assert all(int(server.ask("DBSIZE").split(":")[-1]) > 5 for server in cluster)


async def test_a_slot_is_followed_while_it_moves_and_afterwards(cluster: list[RedisServer]) -> None:
    slot = cluster[0].ask("CLUSTER", "KEYSLOT", "jackfield:window:moving").strip().lstrip(":")
    number = int(slot) // (SLOTS // 3 + 1)
    owner, target = cluster[number], cluster[number - 1]
    names = {server.port: server.ask("CLUSTER", "MYID").split("\r\n")[1] for server in cluster}
    async with make_store(f"redis+cluster://127.0.0.1:{cluster[0].port}") as store:
        await store.ping()
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", names[owner.port])
        owner.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", names[target.port])
        await keep(store, "moving", "1")
        assert target.ask("EXISTS", "jackfield:window:moving").startswith("-MOVED")
        for server in (target, owner):
            server.ask("CLUSTER", "SETSLOT", slot, "NODE", names[target.port])
        await keep(store, "moving", "2")
        assert await kept(store, "moving") == ["question 1", "answer 1", "question 2", "answer 2"]
        assert target.ask("EXISTS", "jackfield:window:moving").startswith(":1")


async def test_a_server_of_a_cluster_that_is_away_is_found_again(cluster: list[RedisServer]) -> None:
    async with make_store(f"redis+cluster://127.0.0.1:{cluster[0].port}") as store:
        for at in range(10):
            await keep(store, f"key {at}")
        cluster[2].kill()
        with pytest.raises(StoreUnavailable):
            await store.ping()
        cluster[2].start()
        with anyio.fail_after(20):
            for at in range(10):
                await _until_kept(store, f"key {at}")
            await store.ping()


async def test_what_another_server_took_over_is_found_there(tmp_path: Path) -> None:
    with running_cluster(tmp_path, 2) as (first, second):
        slot = first.ask("CLUSTER", "KEYSLOT", "jackfield:window:b").strip().lstrip(":")
        assert int(slot) < SLOTS // 2
        url = f"redis+cluster://127.0.0.1:{first.port},127.0.0.1:{second.port}"
        async with make_store(url) as store:
            await keep(store, "b")
            first.kill()
            with pytest.raises(StoreUnavailable):
                await keep(store, "b")
            name = second.ask("CLUSTER", "MYID").split("\r\n")[1]
            second.ask("CLUSTER", "SETSLOT", slot, "NODE", name)
            with anyio.fail_after(20):
                await _until_kept(store, "b")


async def _until_kept(store: RedisStore, key: str) -> None:
    while True:
        try:
            await keep(store, key)
            return
        except StoreUnavailable:
            await anyio.sleep(0.02)


async def test_a_persistent_cluster_is_asked_server_by_server(cluster: list[RedisServer]) -> None:
    for server in cluster[:2]:
        server.ask("CONFIG", "SET", "appendonly", "yes")
        server.ask("CONFIG", "SET", "appendfsync", "always")
    with pytest.raises(StoreUnavailable, match='appendonly "no"'):
        await make_store(f"redis+cluster://127.0.0.1:{cluster[0].port}", persistent=True).__aenter__()


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that has joined no cluster yet."""
    with RedisServer(tmp_path, [*PASSING, "--cluster-enabled", "yes"]) as server:
        yield server


async def test_a_server_that_has_joined_no_cluster_is_passed_over(
    cluster: list[RedisServer], empty: RedisServer
) -> None:
    url = f"redis+cluster://127.0.0.1:{empty.port},127.0.0.1:{cluster[0].port}"
    async with make_store(url) as store, store.subscribe("key"):
        await keep(store, "anything")


async def test_without_a_server_that_has_slots_there_is_no_cluster(empty: RedisServer) -> None:
    async with make_store(f"redis+cluster://127.0.0.1:{empty.port}", timeout_s=1.0) as store:
        with pytest.raises(StoreUnavailable, match="no cluster"):
            await store.ping()
        with pytest.raises(StoreUnavailable):
            async with store.subscribe("key"):
                pass


async def test_a_server_that_hangs_does_not_hide_the_others(
    cluster: list[RedisServer], empty: RedisServer
) -> None:
    url = f"redis+cluster://127.0.0.1:{empty.port},127.0.0.1:{cluster[0].port}"
    os.kill(empty.pid, signal.SIGSTOP)
    try:
        async with make_store(url) as store:
            await keep(store, "anything")
    finally:
        os.kill(empty.pid, signal.SIGCONT)


async def test_a_server_that_is_no_cluster_says_so(redis_server: RedisServer) -> None:
    async with make_store(f"redis+cluster://127.0.0.1:{redis_server.port}") as store:
        with pytest.raises(StoreUnavailable, match="no cluster"):
            await store.ping()


async def test_nobody_at_any_address_is_unavailable() -> None:
    port = free_port()
    for url in (f"redis+cluster://127.0.0.1:{port}", f"redis+sentinel://127.0.0.1:{port}/main"):
        async with make_store(url) as store:
            with pytest.raises(StoreUnavailable):
                await keep(store, "key")
