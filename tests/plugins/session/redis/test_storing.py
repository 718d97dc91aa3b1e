"""How the Redis store keeps things: Redis itself trims and lets expire, one round trip an operation."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import anyio
import pytest

from jackfield.contracts.session import Conversation, Lease, Record, User
from jackfield.testing.session import moment
from jackfield_session_redis.connection import Part
from jackfield_session_redis.store import RedisStore
from tests.plugins.session.redis.stores import keep, kept, make_store, pair
from tests.redis_server import RedisServer

pytestmark = pytest.mark.anyio


@pytest.fixture
def key() -> str:
    return uuid.uuid4().hex


async def raw(store: RedisStore, *command: Part) -> Any:
    return await store._link.run(*command)


async def test_redis_itself_lets_a_conversation_expire_as_a_whole(store: RedisStore, key: str) -> None:
    await store.set_preferences(key, {"voice": "amy"}, ttl_s=1000)
    await keep(store, key, ttl_s=60)
    [name] = await raw(store, "KEYS", f"*{key}*")
    assert name == b"jackfield:window:" + key.encode()
    assert 59_000 < await raw(store, "PTTL", name) <= 60_000
    await store.touch(key, ttl_s=120)
    assert 119_000 < await raw(store, "PTTL", name) <= 120_000


async def test_redis_itself_trims_a_conversation(store: RedisStore, key: str) -> None:
    for at in range(20):
        await store.append(key, pair(str(at)), max_messages=10, ttl_s=60)
    assert await raw(store, "LLEN", b"jackfield:window:" + key.encode()) == 1 + 10


async def test_a_conversation_that_keeps_no_message_keeps_its_preferences(
    store: RedisStore, key: str
) -> None:
    await store.set_preferences(key, {"voice": "amy"}, ttl_s=60)
    await store.append(key, pair("1"), max_messages=0, ttl_s=60)
    window = await store.load(key)
    assert window is not None
    assert (window.messages, window.preferences) == ((), {"voice": "amy"})


async def test_what_is_put_counted_and_leased_expires_in_redis(store: RedisStore, key: str) -> None:
    await store.put(key, "value", ttl_s=60)
    await store.count(key, ttl_s=60)
    await store.lease(key, ttl_s=60)
    names = await raw(store, "KEYS", f"*{key}*")
    assert len(names) == 3
    for name in names:
        assert 59_000 < await raw(store, "PTTL", name) <= 60_000


async def test_a_life_shorter_than_a_millisecond_or_endless_is_taken(store: RedisStore, key: str) -> None:
    assert await store.put(key, "value", ttl_s=0.0001)
    assert await keep(store, key, ttl_s=float("inf"))
    assert await kept(store, key)


@pytest.mark.parametrize(
    "text", ["\ud800 half a pair", "\x00", "\r\n$3\r\nabc"], ids=["surrogate", "nul", "crlf"]
)
async def test_text_that_utf_8_has_no_bytes_for_comes_back(store: RedisStore, key: str, text: str) -> None:
    await store.put(key + text, text, ttl_s=60)
    assert await store.take(key + text) == text
    await keep(store, key, text)
    assert await kept(store, key) == [f"question {text}", f"answer {text}"]
    tea = Conversation(key, key, text, moment(), moment())
    await store.add_conversation(tea)
    await store.add_records(key, [Record(f"{key}{text}", key, "user", text, moment())])
    page = await store.records(key, key, limit=10)
    assert page is not None
    assert page.items[0].content == text
    assert await store.conversation(key, key) == replace(tea, last_message_at=moment())


async def test_tokens_grow_even_where_redis_lost_everything(store: RedisStore, key: str) -> None:
    before = await store.lease(key, ttl_s=60)
    await raw(store, "FLUSHALL")
    after = await store.lease(key, ttl_s=60)
    assert before is not None
    assert after is not None
    assert after.token > before.token


async def test_numbers_of_signals_grow_even_where_redis_lost_everything(store: RedisStore, key: str) -> None:
    before = await store.publish(key, {})
    await raw(store, "FLUSHALL")
    assert await store.publish(key, {}) > before + 1


async def test_deleting_a_conversation_leaves_nothing_of_it(store: RedisStore) -> None:
    await raw(store, "FLUSHALL")
    tea = Conversation("tea", "me", "About tea", moment(), moment())
    await store.add_conversation(tea)
    await store.add_records("me", [Record(str(at), "tea", "user", "content", moment(at)) for at in range(3)])
    await store.delete_conversation("me", "tea")
    assert await raw(store, "DBSIZE") == 0


async def test_deployments_with_prefixes_of_their_own_do_not_meet(
    redis_server: RedisServer, store: RedisStore, key: str
) -> None:
    async with make_store(redis_server.url, prefix="other:") as other:
        await keep(store, key)
        await store.put(key, "value", ttl_s=60)
        await store.add_user(User(key, key, moment()))
        assert await other.load(key) is None
        assert await other.get(key) is None
        assert await other.user(key) is None


async def test_databases_of_one_redis_do_not_hear_one_another(
    redis_server: RedisServer, store: RedisStore, key: str
) -> None:
    async with make_store(redis_server.url.replace("/0", "/1")) as other, store.subscribe(key) as signals:
        await other.publish(key, {"of": "another"})
        await store.publish(key, {"of": "this"})
        assert (await anext(signals)).payload == {"of": "this"}


@dataclass
class Counted:
    """Commands and scripts that were sent."""

    number: int = 0


def counted(store: RedisStore) -> Counted:
    """Count what a store sends from now on."""
    sent, counter = store._link._send, Counted()

    async def send(command: Sequence[Part]) -> Any:
        counter.number += 1
        return await sent(command)

    store._link._send = send  # type: ignore[method-assign]  # the test looks at what goes over the wire
    return counter


OPERATIONS: dict[str, Callable[[RedisStore, str], Awaitable[object]]] = {
    "append": keep,
    "load": lambda store, key: store.load(key),
    "touch": lambda store, key: store.touch(key, ttl_s=60),
    "set_preferences": lambda store, key: store.set_preferences(key, {"voice": "amy"}, ttl_s=60),
    "delete": lambda store, key: store.delete(key),
    "add_user": lambda store, key: store.add_user(User(uuid.uuid4().hex, uuid.uuid4().hex, moment())),
    "user": lambda store, key: store.user(key),
    "user_by_name": lambda store, key: store.user_by_name(key),
    "add_conversation": lambda store, key: store.add_conversation(
        Conversation(uuid.uuid4().hex, key, "title", moment(), moment())
    ),
    "conversation": lambda store, key: store.conversation(key, key),
    "conversations": lambda store, key: store.conversations(key, limit=10),
    "rename_conversation": lambda store, key: store.rename_conversation(key, key, "title", moment()),
    "add_records": lambda store, key: store.add_records(
        key, [Record(uuid.uuid4().hex, key, "user", "content", moment())]
    ),
    "set_record_status": lambda store, key: store.set_record_status(key, key, "ok"),
    "records": lambda store, key: store.records(key, key, limit=10),
    "count_records": lambda store, key: store.count_records(key, key),
    "delete_conversation": lambda store, key: store.delete_conversation(key, key),
    "settings": lambda store, key: store.settings(key),
    "update_settings": lambda store, key: store.update_settings(key, {"theme": "dark"}),
    "publish": lambda store, key: store.publish(key, {"news": True}),
    "put": lambda store, key: store.put(key, "value", ttl_s=60),
    "get": lambda store, key: store.get(key),
    "take": lambda store, key: store.take(key),
    "count": lambda store, key: store.count(key, ttl_s=60),
    "lease": lambda store, key: store.lease(key, ttl_s=60),
    "renew": lambda store, key: store.renew(Lease(key, 1), ttl_s=60),
    "release": lambda store, key: store.release(Lease(key, 1)),
    "ping": lambda store, key: store.ping(),
    "size_bytes": lambda store, key: store.size_bytes(),
}


@pytest.mark.parametrize("name", OPERATIONS)
async def test_an_operation_takes_one_round_trip(store: RedisStore, key: str, name: str) -> None:
    await store.add_conversation(Conversation(key, key, "title", moment(), moment()))
    await OPERATIONS[name](store, key)  # after this Redis knows the script
    counter = counted(store)
    await OPERATIONS[name](store, key)
    assert counter.number == 1


async def test_a_script_that_redis_forgot_is_sent_again(store: RedisStore, key: str) -> None:
    await keep(store, key)
    await raw(store, "SCRIPT", "FLUSH")
    await keep(store, key, "2")
    assert len(await kept(store, key)) == 4


async def test_a_hundred_appends_at_once_lose_nothing(store: RedisStore, key: str) -> None:
    async with anyio.create_task_group() as tasks:
        for at in range(100):
            tasks.start_soon(keep, store, key, str(at))
    contents = await kept(store, key)
    assert sorted(contents[::2]) == sorted(f"question {at}" for at in range(100))
    assert contents[1::2] == [question.replace("question", "answer") for question in contents[::2]]


APPENDS = """
import sys, anyio
from tests.plugins.session.redis.stores import keep, make_store

async def main(url, key, name):
    async with make_store(url) as store, anyio.create_task_group() as tasks:
        for at in range(100):
            tasks.start_soon(keep, store, key, f"{name}-{at}")

anyio.run(main, *sys.argv[1:])
"""


@pytest.mark.timeout(30)
async def test_a_hundred_appends_of_each_of_two_processes_lose_nothing(
    redis_server: RedisServer, store: RedisStore, key: str
) -> None:
    async def append(name: str) -> None:
        command = [sys.executable, "-c", APPENDS, redis_server.url, key, name]
        ran = await anyio.run_process(command, stderr=subprocess.STDOUT, check=False)
        assert ran.returncode == 0, ran.stdout.decode()

    async with anyio.create_task_group() as tasks:
        for name in ("one", "other"):
            tasks.start_soon(append, name)
    contents = await kept(store, key)
    expected = {f"question {name}-{at}" for name in ("one", "other") for at in range(100)}
    assert len(contents) == 400
    assert set(contents[::2]) == expected
    assert contents[1::2] == [question.replace("question", "answer") for question in contents[::2]]


async def test_the_size_grows_with_the_data(store: RedisStore, key: str) -> None:
    before_bytes = await store.size_bytes()
    await store.put(key, "x" * 8_000_000, ttl_s=60)
    after_bytes = await store.size_bytes()
    assert before_bytes is not None
    assert after_bytes is not None
    assert after_bytes - before_bytes > 4_000_000  # Redis counts its buffers apart, which come and go


@pytest.mark.parametrize("before", ["other-1", "unknown"])
async def test_a_page_before_what_is_no_message_of_the_conversation_is_refused(
    store: RedisStore, key: str, before: str
) -> None:
    for name in ("this", "other"):
        await store.add_conversation(Conversation(f"{key}-{name}", key, name, moment(), moment()))
        record = Record(f"{key}-{name}-1", f"{key}-{name}", "user", "content", moment())
        await store.add_records(key, [record])
    with pytest.raises(ValueError, match="no message of this conversation"):
        await store.records(key, f"{key}-this", limit=10, before=f"{key}-{before}")


async def test_records_of_several_conversations_are_no_one_step(store: RedisStore, key: str) -> None:
    records = [Record(f"{key}-{at}", f"{key}-{at}", "user", "content", moment()) for at in range(2)]
    with pytest.raises(ValueError, match="several conversations"):
        await store.add_records(key, records)
    assert await store.add_records(key, [])


async def test_a_cursor_of_another_users_list_is_refused(store: RedisStore, key: str) -> None:
    for at in range(2):
        await store.add_conversation(Conversation(f"{key}-{at}", key, "title", moment(at), moment(at)))
    page = await store.conversations(key, limit=1)
    with pytest.raises(ValueError, match="cursor"):
        await store.conversations("another", limit=1, cursor=page.next_cursor)
