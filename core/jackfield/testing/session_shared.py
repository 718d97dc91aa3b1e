"""The conformance suite of the shared role."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from jackfield.contracts.session import Lease, Shared
from jackfield.testing.session import AT_ONCE, LONG_S, ODD_KEYS, Advance, SessionSuite

T = TypeVar("T")


async def at_once(ask: Callable[[], Awaitable[T]]) -> list[T]:
    """Ask fifty times at once; gives the answers in the order in which they came."""
    answers: list[T] = []

    async def ask_once() -> None:
        answers.append(await ask())

    async with anyio.create_task_group() as tasks:
        for _ in range(AT_ONCE):
            tasks.start_soon(ask_once)
    return answers


class SharedSuite(SessionSuite):
    """Subclass it and define the fixture `store`: a store with the role, ready for use."""

    async def test_a_value_can_be_read_again_and_taken_once(self, store: Shared, key: str) -> None:
        assert await store.put(key, "value ☕", ttl_s=LONG_S)
        assert await store.get(key) == "value ☕"
        assert await store.take(key) == "value ☕"
        assert await store.take(key) is None
        assert await store.get(key) is None

    async def test_a_later_value_replaces_the_former(self, store: Shared, key: str) -> None:
        await store.put(key, "1", ttl_s=LONG_S)
        assert await store.put(key, "2", ttl_s=LONG_S)
        assert await store.get(key) == "2"

    async def test_only_if_absent_leaves_what_is_there(self, store: Shared, key: str) -> None:
        assert await store.put(key, "", ttl_s=LONG_S, only_if_absent=True)
        assert not await store.put(key, "2", ttl_s=LONG_S, only_if_absent=True)
        assert await store.get(key) == ""

    async def test_of_several_who_put_if_absent_at_once_one_succeeds(self, store: Shared, key: str) -> None:
        put = await at_once(lambda: store.put(key, "nonce", ttl_s=LONG_S, only_if_absent=True))
        assert sum(put) == 1

    async def test_of_several_takers_at_once_exactly_one_gets_the_value(
        self, store: Shared, key: str
    ) -> None:
        await store.put(key, "secret", ttl_s=LONG_S)
        taken = await at_once(lambda: store.take(key))
        assert taken.count("secret") == 1
        assert taken.count(None) == AT_ONCE - 1

    async def test_a_value_expires(self, store: Shared, key: str, advance: Advance) -> None:
        await store.put(key, "value", ttl_s=self.ttl_s)
        await advance(1.2 * self.ttl_s)
        assert await store.get(key) is None
        assert await store.take(key) is None
        assert await store.put(key, "again", ttl_s=LONG_S, only_if_absent=True)

    async def test_odd_keys_are_kept_apart(self, store: Shared, key: str) -> None:
        for odd in ODD_KEYS:
            await store.put(key + odd, odd, ttl_s=LONG_S)
        for odd in ODD_KEYS:
            assert await store.take(key + odd) == odd

    async def test_a_counter_adds_up(self, store: Shared, key: str) -> None:
        assert await store.count(key, ttl_s=LONG_S) == 1
        assert await store.count(key, ttl_s=LONG_S, by=5) == 6

    async def test_counting_at_once_loses_nothing(self, store: Shared, key: str) -> None:
        sums = await at_once(lambda: store.count(key, ttl_s=LONG_S))
        assert sorted(sums) == list(range(1, AT_ONCE + 1))

    async def test_a_counters_clock_starts_with_the_first_addition(
        self, store: Shared, key: str, advance: Advance
    ) -> None:
        await store.count(key, ttl_s=self.ttl_s)
        await advance(0.6 * self.ttl_s)
        assert await store.count(key, ttl_s=self.ttl_s) == 2
        await advance(0.6 * self.ttl_s)
        assert await store.count(key, ttl_s=self.ttl_s) == 1

    async def test_a_lease_excludes_others_until_it_is_given_back(self, store: Shared, key: str) -> None:
        lease = await self._lease(store, key)
        assert await store.lease(key, ttl_s=LONG_S) is None
        assert await store.release(lease)
        assert await store.lease(key, ttl_s=LONG_S) is not None

    async def test_of_several_who_want_a_lease_at_once_one_gets_it(self, store: Shared, key: str) -> None:
        leases = await at_once(lambda: store.lease(key, ttl_s=LONG_S))
        assert leases.count(None) == AT_ONCE - 1

    async def test_tokens_grow_with_every_lease_of_a_key(
        self, store: Shared, key: str, advance: Advance
    ) -> None:
        first = await self._lease(store, key)
        await store.release(first)
        second = await self._lease(store, key, self.ttl_s)
        await advance(1.2 * self.ttl_s)
        third = await self._lease(store, key)
        assert first.token < second.token < third.token

    async def test_a_renewed_lease_holds_longer(self, store: Shared, key: str, advance: Advance) -> None:
        lease = await self._lease(store, key, self.ttl_s)
        await advance(0.6 * self.ttl_s)
        assert await store.renew(lease, ttl_s=self.ttl_s)
        await advance(0.6 * self.ttl_s)
        assert await store.lease(key, ttl_s=LONG_S) is None

    async def test_a_lost_lease_cannot_disturb_its_successor(
        self, store: Shared, key: str, advance: Advance
    ) -> None:
        lost = await self._lease(store, key, self.ttl_s)
        await advance(1.2 * self.ttl_s)
        successor = await self._lease(store, key)
        assert not await store.renew(lost, ttl_s=LONG_S)
        assert not await store.release(lost)
        assert await store.lease(key, ttl_s=LONG_S) is None
        assert await store.renew(successor, ttl_s=LONG_S)

    async def test_a_lease_given_back_cannot_be_renewed(self, store: Shared, key: str) -> None:
        lease = await self._lease(store, key)
        await store.release(lease)
        assert not await store.renew(lease, ttl_s=LONG_S)
        assert not await store.release(lease)

    async def _lease(self, store: Shared, key: str, ttl_s: float = LONG_S) -> Lease:
        lease = await store.lease(key, ttl_s=ttl_s)
        assert lease is not None
        assert lease.key == key
        return lease
