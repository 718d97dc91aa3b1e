"""The store suites fail on stores that break a promise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import anyio
import pytest

from jackfield.contracts.session import Conversation, Lease, Page, Record, StoredMessage, Window
from jackfield.testing import ManualClock, RecordsSuite, SharedSuite, SignalsSuite, WindowsSuite
from jackfield_session_memory import MemoryOptions, MemoryStore

pytestmark = pytest.mark.anyio

KEY = "key"


class Windows(WindowsSuite):
    """The suite, called test by test."""

    __test__ = False


class Records(RecordsSuite):
    """The suite, called test by test."""

    __test__ = False


class Signals(SignalsSuite):
    """The suite, called test by test."""

    __test__ = False


class Shared(SharedSuite):
    """The suite, called test by test."""

    __test__ = False


async def test_an_append_in_two_steps_is_found() -> None:
    class ReadsThenWrites(MemoryStore):
        async def append(
            self, key: str, messages: Sequence[StoredMessage], *, max_messages: int, ttl_s: float
        ) -> bool:
            window = await self.load(key) or Window()
            await anyio.sleep(0)
            await self.delete(key)
            both = (*window.messages, *messages)
            return await super().append(key, both, max_messages=max_messages, ttl_s=ttl_s)

    with pytest.raises(AssertionError):
        await Windows().test_appends_at_once_lose_nothing_and_keep_pairs_together(
            ReadsThenWrites(MemoryOptions()), KEY
        )


async def test_loading_that_restarts_the_clock_is_found() -> None:
    clock = ManualClock()

    class Touching(MemoryStore):
        async def load(self, key: str) -> Window | None:
            await self.touch(key, ttl_s=1.0)
            return await super().load(key)

    store = Touching(MemoryOptions(), clock=clock)
    with pytest.raises(AssertionError):
        await Windows().test_loading_does_not_restart_the_clock(store, KEY, clock.advance_async)


async def test_a_store_that_never_forgets_is_found() -> None:
    clock = ManualClock()
    store = MemoryStore(MemoryOptions(), clock=lambda: 0.0)
    with pytest.raises(AssertionError):
        await Windows().test_an_expired_conversation_is_unknown(store, KEY, clock.advance_async)


async def test_preferences_that_are_shared_with_the_caller_are_found() -> None:
    class Sharing(MemoryStore):
        preferences: Mapping[str, Any]

        async def set_preferences(self, key: str, preferences: Mapping[str, Any], *, ttl_s: float) -> None:
            self.preferences = preferences

        async def load(self, key: str) -> Window | None:
            window = await super().load(key)
            return window and replace(window, preferences=self.preferences)

    with pytest.raises(AssertionError):
        await Windows().test_a_caller_cannot_change_what_is_stored(Sharing(MemoryOptions()), KEY)


async def test_taking_in_two_steps_is_found() -> None:
    class GetsThenTakes(MemoryStore):
        async def take(self, key: str) -> str | None:
            value = await self.get(key)
            await anyio.sleep(0)
            await super().take(key)
            return value

    with pytest.raises(AssertionError):
        await Shared().test_of_several_takers_at_once_exactly_one_gets_the_value(
            GetsThenTakes(MemoryOptions()), KEY
        )


async def test_a_lease_that_ignores_its_token_is_found() -> None:
    clock = ManualClock()

    class Careless(MemoryStore):
        async def release(self, lease: Lease) -> bool:
            return self._leases.pop(lease.key) is not None

    store = Careless(MemoryOptions(), clock=clock)
    with pytest.raises(AssertionError):
        await Shared().test_a_lost_lease_cannot_disturb_its_successor(store, KEY, clock.advance_async)


async def test_an_unbounded_queue_of_signals_is_found() -> None:
    store = MemoryStore(MemoryOptions(max_waiting_signals=100_000))
    with pytest.raises(AssertionError, match="Nothing was lost"):
        await Signals().test_a_slow_listener_loses_the_oldest_and_sees_the_gap(store, KEY)


async def test_a_conversation_that_shows_to_others_is_found() -> None:
    class Leaking(MemoryStore):
        async def conversation(self, user_id: str, conversation_id: str) -> Conversation | None:
            return self._threads[conversation_id].conversation

    suite, store = Records(), Leaking(MemoryOptions())
    user = await suite._add_user(store)
    with pytest.raises(AssertionError):
        await suite.test_nothing_of_a_conversation_shows_to_another_user(store, user.id)


async def test_messages_in_the_wrong_order_are_found() -> None:
    class NewestFirst(MemoryStore):
        async def records(
            self, user_id: str, conversation_id: str, *, limit: int, before: str | None = None
        ) -> Page[Record] | None:
            page = await super().records(user_id, conversation_id, limit=limit, before=before)
            return page and replace(page, items=page.items[::-1])

    suite, store = Records(), NewestFirst(MemoryOptions())
    user = await suite._add_user(store)
    with pytest.raises(AssertionError):
        await suite.test_messages_page_backwards_and_come_oldest_first(store, user.id)
