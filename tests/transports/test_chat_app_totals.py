"""chat-app: the tokens of a chat are added up for as long as the chat is used."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import cast

import pytest

from jackfield.contracts.panel import Sessions
from jackfield.contracts.session import Shared
from jackfield.errors import StoreUnavailable
from jackfield.testing.clock import ManualClock
from jackfield_session_memory import MemoryOptions, MemoryStore
from jackfield_transport_chat_app.exchange import Totals

pytestmark = pytest.mark.anyio

CHAT = "chat-1"
DAY_S = 86_400.0
LOGGER = logging.getLogger(__name__)


def totals(shared: Shared | None) -> Totals:
    """What a process adds up: of the sessions it sees that role alone."""
    return Totals(cast(Sessions, SimpleNamespace(shared=shared)), LOGGER)


async def test_a_chat_in_use_keeps_its_tokens_for_every_process() -> None:
    clock = ManualClock()
    store = MemoryStore(MemoryOptions(), clock=clock)
    for number in range(1, 6):
        assert await totals(store).add(CHAT, 42) == number * 42
        clock.advance(60 * DAY_S)


async def test_nothing_is_kept_for_ever_of_a_chat_that_may_be_deleted() -> None:
    clock = ManualClock()
    store = MemoryStore(MemoryOptions(max_shared_keys=1), clock=clock)
    await totals(store).add(CHAT, 42)
    with pytest.raises(StoreUnavailable):
        await store.put("another", "", ttl_s=1.0)
    clock.advance(91 * DAY_S)
    assert await store.put("another", "", ttl_s=1.0)


async def test_a_store_that_was_away_costs_no_tokens(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore(MemoryOptions(max_shared_keys=1))
    await store.put("another", "", ttl_s=DAY_S)
    counted = totals(store)
    assert await counted.add(CHAT, 42) == 42
    assert "cannot be added up" in caplog.text
    await store.take("another")
    assert await counted.add(CHAT, 42) == 84
    assert await totals(store).add(CHAT, 42) == 126


async def test_without_a_store_for_it_a_process_adds_up_what_it_saw() -> None:
    counted = totals(None)
    assert [await counted.add(CHAT, 42) for _ in range(3)] == [42, 84, 126]
