"""Writers at once, in one process and in two."""

from __future__ import annotations

from collections import Counter

import anyio
import pytest
from anyio import to_thread

from jackfield import StoreUnavailable
from jackfield.contracts.session import Windows
from jackfield.testing.session import LONG_S
from jackfield.testing.session_records import conversation, record
from jackfield.testing.session_windows import pair
from jackfield_session_sql.store import SqlStore
from jackfield_session_sql.tables import digest
from tests.plugins.session.sql import child
from tests.plugins.session.sql.conftest import make_store

pytestmark = pytest.mark.anyio

MANY = 100


async def pairs_of(store: Windows, key: str) -> Counter[str]:
    """Names of the pairs of a conversation; question and answer must lie side by side."""
    window = await store.load(key)
    assert window is not None
    questions = [message.content.removeprefix("question ") for message in window.messages[::2]]
    assert [message.content for message in window.messages[1::2]] == [f"answer {name}" for name in questions]
    return Counter(questions)


async def test_a_hundred_appends_at_once_lose_nothing(store: SqlStore, name: str) -> None:
    await child.append(store, name, "here", MANY)

    assert await pairs_of(store, name) == Counter(f"here-{at}" for at in range(MANY))


@pytest.mark.timeout(60)
async def test_two_processes_that_append_at_once_lose_nothing(store: SqlStore, url: str, name: str) -> None:
    other = child.spawn(url, "append", name, "there", MANY)
    await to_thread.run_sync(child.begin, other)
    await child.append(store, name, "here", MANY)
    await to_thread.run_sync(child.end, other)

    expected = Counter(f"{place}-{at}" for place in ("here", "there") for at in range(MANY))
    assert await pairs_of(store, name) == expected


async def test_appends_to_several_conversations_do_not_wait_for_one_another(
    store: SqlStore, name: str
) -> None:
    async with anyio.create_task_group() as tasks:
        for at in range(MANY):
            tasks.start_soon(child.append, store, f"{name}-{at}", "here", 2)
    for at in range(MANY):
        assert sum((await pairs_of(store, f"{name}-{at}")).values()) == 2


async def test_a_database_that_another_process_holds_is_an_error_for_who_waits_too_long(
    url: str, name: str
) -> None:
    async with make_store(url) as holder, make_store(url, statement_timeout_s=0.1) as store:
        await child.append(store, name, "before", 1)
        held = {"key": digest(name), "ttl_ms": 60_000, "generation": 1}
        async with holder._database.transaction() as connection:
            await connection.execute(holder._open_window, held)
            with pytest.raises(StoreUnavailable, match=r"did not answer within 0\.1 s"):
                await store.append(name, pair("meanwhile"), max_messages=10, ttl_s=LONG_S)
        await child.append(store, name, "after", 1)
        assert await pairs_of(store, name) == Counter(["before-0", "after-0"])


async def test_a_conversation_that_is_deleted_while_messages_come_has_all_of_a_step_or_nothing(
    store: SqlStore, name: str
) -> None:
    tea = conversation(name, "tea")
    await store.add_conversation(tea)
    added: list[bool] = []

    async def add(at: int) -> None:
        question, answer = record(tea, f"{at}"), record(tea, f"{at}-answer", role="assistant")
        added.append(await store.add_records(name, [question, answer]))

    async with anyio.create_task_group() as tasks:
        for at in range(20):
            tasks.start_soon(add, at)
            if at == 10:
                tasks.start_soon(store.delete_conversation, name, tea.id)

    assert len(added) == 20
    assert await store.count_records(name, tea.id) is None


async def test_a_window_that_is_swept_while_it_is_written_to_loses_nothing(
    store: SqlStore, name: str
) -> None:
    from jackfield_session_sql.expiry import sweep

    async def write(at: int) -> None:
        await store.append(f"{name}-{at}", pair("old"), max_messages=10, ttl_s=0.001)
        await store.append(f"{name}-{at}", pair("new"), max_messages=10, ttl_s=LONG_S)

    async def sweep_often() -> None:
        while True:
            await sweep(store._database)

    async with anyio.create_task_group() as sweeping:
        sweeping.start_soon(sweep_often)
        async with anyio.create_task_group() as tasks:
            for at in range(MANY):
                tasks.start_soon(write, at)
        sweeping.cancel_scope.cancel()

    for at in range(MANY):
        assert (await pairs_of(store, f"{name}-{at}"))["new"] == 1
