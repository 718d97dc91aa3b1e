"""The memory store."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import anyio
import pytest

import jackfield_session_memory
from jackfield import Site, StoreUnavailable
from jackfield.contracts.session import (
    Conversation,
    Record,
    Records,
    Shared,
    Signals,
    StoredMessage,
    User,
    Windows,
)
from jackfield.plugin import ROLES
from jackfield.testing import ManualClock, RecordsSuite, SharedSuite, SignalsSuite, WindowsSuite
from jackfield.testing.session import Advance, moment
from jackfield_session_memory import MemoryOptions, MemoryStore

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(clock: ManualClock) -> AsyncIterator[MemoryStore]:
    async with MemoryStore(MemoryOptions(), clock=clock) as store:
        yield store


class TestWindows(WindowsSuite):
    @pytest.fixture
    def advance(self, clock: ManualClock) -> Advance:
        return clock.advance_async


class TestRecords(RecordsSuite):
    pass


class TestSignals(SignalsSuite):
    pass


class TestShared(SharedSuite):
    @pytest.fixture
    def advance(self, clock: ManualClock) -> Advance:
        return clock.advance_async


def message(text: str = "hello") -> StoredMessage:
    return StoredMessage(text, "text", moment(), is_user=True)


async def keep(store: Windows, key: str, text: str = "hello", ttl_s: float = 60.0) -> bool:
    return await store.append(key, [message(text)], max_messages=10, ttl_s=ttl_s)


def test_it_offers_every_role_and_persists_none() -> None:
    capabilities = jackfield_session_memory.plugin_info().capabilities(MemoryOptions())
    assert capabilities.roles == ROLES
    assert capabilities.persistent == ()
    site = Site("session", "memory", logging.getLogger("test"))
    built = jackfield_session_memory.make_session(options=MemoryOptions(), site=site)
    for role in (Windows, Records, Signals, Shared):
        assert isinstance(built, role)


async def test_what_expired_is_removed_also_when_nobody_asks() -> None:
    async with MemoryStore(MemoryOptions(sweep_s=0.01)) as store:
        empty_bytes = await store.size_bytes()
        await keep(store, "a", ttl_s=0.02)
        await store.put("nonce", "1", ttl_s=0.02)
        with anyio.fail_after(5):
            while await store.size_bytes() > empty_bytes:
                await anyio.sleep(0.005)


async def test_a_full_store_forgets_the_conversation_that_expires_next(clock: ManualClock) -> None:
    store = MemoryStore(MemoryOptions(max_sessions=2), clock=clock)
    await keep(store, "long", ttl_s=100)
    await keep(store, "short", ttl_s=10)
    await keep(store, "new", ttl_s=50)
    assert [await store.load(key) is not None for key in ("long", "short", "new")] == [True, False, True]


async def test_an_expired_conversation_is_given_up_before_a_live_one(clock: ManualClock) -> None:
    store = MemoryStore(MemoryOptions(max_sessions=2), clock=clock)
    await keep(store, "expired", ttl_s=10)
    await keep(store, "live", ttl_s=20)
    clock.advance(15)
    await keep(store, "new")
    assert await store.load("live") is not None


async def test_the_bytes_of_all_conversations_are_bounded() -> None:
    store = MemoryStore(MemoryOptions(max_sessions_bytes=50_000))
    for at in range(100):
        await keep(store, str(at), "x" * 2000, ttl_s=at + 60)
        assert await store.size_bytes() <= 50_000
    assert await store.load("99") is not None
    assert await store.load("0") is None


async def test_the_bytes_of_one_conversation_are_bounded_by_dropping_its_oldest_messages() -> None:
    store = MemoryStore(MemoryOptions(max_session_bytes=5000))
    for name in "abc":
        await keep(store, "key", name * 2000)
    window = await store.load("key")
    assert window is not None
    assert [kept.content[0] for kept in window.messages] == ["b", "c"]


async def test_a_message_that_can_never_fit_is_refused_and_nothing_is_lost() -> None:
    store = MemoryStore(MemoryOptions(max_session_bytes=5000))
    await keep(store, "key")
    with pytest.raises(StoreUnavailable, match="max_session_bytes"):
        await keep(store, "key", "x" * 6000)
    window = await store.load("key")
    assert window is not None
    assert window.messages == (message(),)


async def test_touching_often_takes_no_more_memory(clock: ManualClock) -> None:
    store = MemoryStore(MemoryOptions(), clock=clock)
    await keep(store, "key")
    for _ in range(1000):
        await store.touch("key", ttl_s=60)
    assert len(store._windows._deadlines) < 100


async def test_a_full_store_refuses_records() -> None:
    store = MemoryStore(MemoryOptions(max_users=1, max_conversations=1, max_records_bytes=10_000))
    await store.add_user(User("1", "one", moment()))
    with pytest.raises(StoreUnavailable, match="max_users"):
        await store.add_user(User("2", "two", moment()))
    await store.add_conversation(Conversation("c", "1", "title", moment(), moment()))
    with pytest.raises(StoreUnavailable, match="max_conversations"):
        await store.add_conversation(Conversation("d", "1", "title", moment(), moment()))
    with pytest.raises(StoreUnavailable, match="max_records_bytes"):
        await store.add_records("1", [Record("r", "c", "user", "x" * 10_000, moment())])
    assert await store.count_records("1", "c") == 0


async def test_a_full_store_refuses_settings_of_further_users_but_not_changes() -> None:
    store = MemoryStore(MemoryOptions(max_users=1))
    await store.update_settings("1", {"theme": "dark"})
    assert await store.update_settings("1", {"theme": "light"}) == {"theme": "light"}
    with pytest.raises(StoreUnavailable):
        await store.update_settings("2", {"theme": "dark"})


async def test_a_full_store_refuses_new_keys_and_still_counts_the_old() -> None:
    store = MemoryStore(MemoryOptions(max_shared_keys=2))
    for key in ("a", "b"):
        await store.count(key, ttl_s=60)
    with pytest.raises(StoreUnavailable):
        await store.count("c", ttl_s=60)
    assert await store.count("a", ttl_s=60) == 2


async def test_a_forgotten_channels_numbers_never_fall_back() -> None:
    store = MemoryStore(MemoryOptions(max_channels=2))
    for _ in range(5):
        last = await store.publish("first", {})
    for name in ("second", "third", "fourth"):
        await store.publish(name, {})
    assert await store.publish("first", {}) > last
    assert len(store._channels) <= 2


async def test_the_size_falls_back_to_nothing_when_everything_is_deleted(store: MemoryStore) -> None:
    empty_bytes = await store.size_bytes()
    await keep(store, "a")
    await keep(store, "a")
    await store.set_preferences("a", {"x": 1}, ttl_s=60)
    await store.add_conversation(Conversation("c", "1", "title", moment(), moment()))
    await store.add_records("1", [Record("r", "c", "user", "hello", moment())])
    await store.rename_conversation("1", "c", "a longer title", moment())
    assert await store.size_bytes() > empty_bytes
    await store.delete("a")
    await store.delete_conversation("1", "c")
    assert await store.size_bytes() == empty_bytes


async def test_it_may_be_closed_twice() -> None:
    store = MemoryStore(MemoryOptions())
    async with store:
        pass
    await store.__aexit__(None, None, None)
