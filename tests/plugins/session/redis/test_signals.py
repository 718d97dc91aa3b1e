"""What a listener sees when the connection to Redis is lost."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest

from jackfield import StoreUnavailable
from jackfield.contracts.session import Signal
from jackfield_session_redis.channel import Channel, Subscription
from jackfield_session_redis.connection import Connection
from jackfield_session_redis.store import RedisStore
from tests.plugins.session.redis.stores import make_store
from tests.redis_server import DURABLE, PASSING, RedisServer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own, which loses everything when it is killed."""
    with RedisServer(tmp_path, PASSING) as server:
        yield server


@pytest.fixture
async def near(server: RedisServer) -> AsyncIterator[RedisStore]:
    """The store that listens."""
    async with make_store(server.url) as store:
        yield store


@pytest.fixture
async def far(server: RedisServer) -> AsyncIterator[RedisStore]:
    """Another process' store, as it were."""
    async with make_store(server.url) as store:
        yield store


async def heard(signals: AsyncIterator[Signal]) -> Signal:
    with anyio.fail_after(5):
        return await anext(signals)


async def interrupt(near: RedisStore, far: RedisStore, *, meanwhile: int) -> list[int]:
    """Cut the connection of those who listen, and publish before it is back."""
    link, may_return = near._link, anyio.Event()
    original = link.listener

    async def listener() -> Connection:
        await may_return.wait()
        return await original()

    link.listener = listener  # type: ignore[method-assign]  # no other way to publish in between for certain
    await far._link.run("CLIENT", "KILL", "TYPE", "pubsub")
    await lose(near)
    sequences = [await far.publish("key", {"missed": at}) for at in range(meanwhile)]
    may_return.set()
    return sequences


async def back(near: RedisStore) -> None:
    """Wait until the listening store listens again and knows what it missed."""
    with anyio.fail_after(5):
        while any(channel.lost or not channel.heard.is_set() for channel in near._hub._channels.values()):
            await anyio.sleep(0.002)


async def lose(near: RedisStore) -> None:
    """Wait until the listening store has noticed that it does not listen."""
    with anyio.fail_after(5):
        while near._hub._connected:
            await anyio.sleep(0.001)


async def test_a_signal_missed_while_the_connection_was_lost_is_given_afterwards(
    near: RedisStore, far: RedisStore
) -> None:
    async with near.subscribe("key") as signals:
        first = await far.publish("key", {"at": 1})
        await heard(signals)
        [missed] = await interrupt(near, far, meanwhile=1)
        assert await heard(signals) == Signal(missed, {"missed": 0})
        assert missed == first + 1


async def test_several_missed_signals_show_as_a_gap(near: RedisStore, far: RedisStore) -> None:
    async with near.subscribe("key") as signals:
        first = await far.publish("key", {"at": 1})
        await heard(signals)
        *_, last = await interrupt(near, far, meanwhile=3)
        after = await heard(signals)
        assert after.sequence == last
        assert after.sequence > first + 1


async def test_the_gap_shows_also_to_a_listener_who_had_no_signal_yet(
    near: RedisStore, far: RedisStore
) -> None:
    before = await far.publish("key", {"at": 1})
    async with near.subscribe("key") as signals:
        *_, last = await interrupt(near, far, meanwhile=3)
        assert (await heard(signals)).sequence == before
        assert (await heard(signals)).sequence == last


async def test_a_lost_connection_without_a_missed_signal_disturbs_nobody(
    near: RedisStore, far: RedisStore
) -> None:
    async with near.subscribe("key") as signals:
        first = await far.publish("key", {"at": 1})
        await heard(signals)
        await interrupt(near, far, meanwhile=0)
        await back(near)
        second = await far.publish("key", {"at": 2})
        assert await heard(signals) == Signal(second, {"at": 2})
        assert second == first + 1


@pytest.mark.parametrize("durable", [False, True])
async def test_after_a_restart_of_redis_the_numbering_jumps(tmp_path: Path, durable: bool) -> None:
    with RedisServer(tmp_path, DURABLE if durable else PASSING) as server:
        async with make_store(server.url) as near, near.subscribe("key") as signals:
            first = await near.publish("key", {"at": 1})
            await heard(signals)
            server.kill()
            server.start()
            jumped = await heard(signals)
            assert jumped.sequence > first + 1
            assert jumped.payload == {}
            await near.publish("key", {"at": 2})
            assert (await heard(signals)).sequence == jumped.sequence + 1


async def test_listeners_of_many_channels_are_all_back(near: RedisStore, far: RedisStore) -> None:
    channels = [f"channel {at}" for at in range(50)]
    received: set[str] = set()

    async def listen(channel: str, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        async with near.subscribe(channel) as signals:
            task_status.started()
            await heard(signals)
            received.add(channel)

    async with anyio.create_task_group() as tasks:
        for channel in channels:
            await tasks.start(listen, channel)
        await far._link.run("CLIENT", "KILL", "TYPE", "pubsub")
        await lose(near)
        await back(near)
        for channel in channels:
            await far.publish(channel, {})
    assert received == set(channels)


async def test_all_listeners_of_a_store_share_one_connection(near: RedisStore, far: RedisStore) -> None:
    async with near.subscribe("a"), near.subscribe("b"), near.subscribe("b"):
        clients: bytes = await far._link.run("CLIENT", "LIST", "TYPE", "pubsub")
        assert len(clients.splitlines()) == 1
        assert await far._link.run("PUBSUB", "NUMSUB", near._channels + b"b") == [near._channels + b"b", 1]


async def test_a_channel_that_nobody_listens_to_any_more_is_given_up(
    near: RedisStore, far: RedisStore
) -> None:
    async with near.subscribe("key"):
        pass
    with anyio.fail_after(5):
        while await far._link.run("PUBSUB", "CHANNELS"):
            await anyio.sleep(0.002)


def test_a_signal_that_was_replayed_is_not_delivered_again() -> None:
    channel, listener = Channel(newest=4), Subscription(max_waiting=10)
    channel.subscriptions.append(listener)
    channel.replay(b"5 {}")
    channel.deliver(b"5 {}")
    channel.deliver(b"6 {}")
    assert [number for number, _payload in listener._waiting] == [5, 6]


def test_a_signal_that_was_delivered_is_not_replayed() -> None:
    channel, listener = Channel(newest=4), Subscription(max_waiting=10)
    channel.subscriptions.append(listener)
    channel.deliver(b"5 {}")
    channel.replay(b"5 {}")
    assert [number for number, _payload in listener._waiting] == [5]


async def test_coming_and_going_quickly_leaves_the_last_listener_listening(near: RedisStore) -> None:
    for at in range(50):
        async with near.subscribe("key") as signals:
            await near.publish("key", {"at": at})
            assert (await heard(signals)).payload == {"at": at}


async def test_subscribing_while_redis_is_away_says_so(server: RedisServer, near: RedisStore) -> None:
    server.kill()
    with pytest.raises(StoreUnavailable):
        async with near.subscribe("key"):
            pass
    server.start()
    async with near.subscribe("key") as signals:
        await near.publish("key", {})
        await heard(signals)


async def test_a_user_who_may_not_listen_is_told_so_and_the_log_is_not_filled(
    server: RedisServer, far: RedisStore, caplog: pytest.LogCaptureFixture
) -> None:
    await far._link.run("ACL", "SETUSER", "deaf", "on", ">word", "~*", "resetchannels", "+@all")
    with caplog.at_level(logging.WARNING):
        async with make_store(server.url, username="deaf", password="word", timeout_s=0.5) as store:
            with pytest.raises(StoreUnavailable, match="confirms no subscription"):
                async with store.subscribe("key"):
                    pass
    assert "ACL" in caplog.text
    assert len(caplog.records) == 1


async def test_a_connection_that_fell_silent_is_given_up(
    near: RedisStore, far: RedisStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("jackfield_session_redis.hub._QUIET_S", 0.05)
    async with near.subscribe("key") as signals:
        await anyio.sleep(0.2)  # signs of life are asked for and given
        with caplog.at_level(logging.WARNING):
            await far._link.run("CLIENT", "PAUSE", 200, "ALL")
            await lose(near)
        assert "sign of life" in caplog.text
        await back(near)
        await far.publish("key", {"at": 1})
        assert (await heard(signals)).payload == {"at": 1}
