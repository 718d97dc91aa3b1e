"""The conformance suite of the signals role."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, ClassVar, Final

import anyio
import pytest

from jackfield.contracts.session import Signal, Signals
from jackfield.testing.session import AT_ONCE, SessionSuite

_PATIENCE_S: Final = 5.0


async def next_signal(signals: AsyncIterator[Signal]) -> Signal:
    """Wait for a signal, five seconds at the most."""
    with anyio.fail_after(_PATIENCE_S):
        return await anext(signals)


class SignalsSuite(SessionSuite):
    """Subclass it and define the fixture `store`: a store with the role, ready for use."""

    flood: ClassVar[int] = 2_000
    """More signals than wait for a listener who does not read."""

    async def test_a_listener_gets_signals_in_order_numbered_without_gap(
        self, store: Signals, key: str
    ) -> None:
        async with store.subscribe(key) as signals:
            published = [await store.publish(key, {"at": at}) for at in range(5)]
            received = [await next_signal(signals) for _ in range(5)]
        assert [signal.sequence for signal in received] == published
        assert published == list(range(published[0], published[0] + 5))
        assert [signal.payload for signal in received] == [{"at": at} for at in range(5)]

    async def test_every_listener_gets_every_signal(self, store: Signals, key: str) -> None:
        async with AsyncExitStack() as stack:
            listeners = [await stack.enter_async_context(store.subscribe(key)) for _ in range(3)]
            sequence = await store.publish(key, {"news": True})
            received = [await next_signal(signals) for signals in listeners]
        assert received == [Signal(sequence, {"news": True})] * 3

    async def test_listening_begins_with_the_subscription(self, store: Signals, key: str) -> None:
        await store.publish(key, {"when": "before"})
        async with store.subscribe(key) as signals:
            await store.publish(key, {"when": "after"})
            assert (await next_signal(signals)).payload == {"when": "after"}

    async def test_the_numbering_goes_on_between_subscriptions(self, store: Signals, key: str) -> None:
        async with store.subscribe(key) as signals:
            first = await store.publish(key, {})
            await next_signal(signals)
        missed = await store.publish(key, {})
        async with store.subscribe(key) as signals:
            await store.publish(key, {})
            after = await next_signal(signals)
        assert [first, missed, after.sequence] == [first, first + 1, first + 2]

    async def test_channels_are_kept_apart(self, store: Signals, key: str) -> None:
        async with store.subscribe(key) as signals:
            await store.publish(f"{key}:other", {"for": "another"})
            await store.publish(key, {"for": "this"})
            assert (await next_signal(signals)).payload == {"for": "this"}

    async def test_publishing_at_once_numbers_each_signal_once(self, store: Signals, key: str) -> None:
        sequences: list[int] = []

        async def publish() -> None:
            sequences.append(await store.publish(key, {}))

        async with anyio.create_task_group() as tasks:
            for _ in range(AT_ONCE):
                tasks.start_soon(publish)
        assert sorted(sequences) == list(range(min(sequences), min(sequences) + AT_ONCE))

    async def test_a_slow_listener_loses_the_oldest_and_sees_the_gap(self, store: Signals, key: str) -> None:
        async with store.subscribe(key) as signals:
            first = await store.publish(key, {})
            await next_signal(signals)
            for _ in range(self.flood):
                last = await store.publish(key, {})
            received = [await next_signal(signals)]
            while received[-1].sequence < last:
                received.append(await next_signal(signals))
        sequences = [signal.sequence for signal in received]
        assert sequences == sorted(set(sequences))
        assert sequences[-1] == first + self.flood
        assert len(sequences) < self.flood, "Nothing was lost: is the queue bounded, and `flood` above it?"

    async def test_leaving_ends_the_listening(self, store: Signals, key: str) -> None:
        async with store.subscribe(key) as signals:
            pass
        await store.publish(key, {})
        with pytest.raises(StopAsyncIteration):
            await next_signal(signals)

    async def test_a_cancelled_listener_does_not_disturb_the_others(self, store: Signals, key: str) -> None:
        async def listen(*, task_status: anyio.abc.TaskStatus[None]) -> None:
            async with store.subscribe(key) as signals:
                task_status.started()
                await anext(signals)

        async with store.subscribe(key) as signals:
            async with anyio.create_task_group() as tasks:
                await tasks.start(listen)
                tasks.cancel_scope.cancel()
            await store.publish(key, {"still": "there"})
            assert (await next_signal(signals)).payload == {"still": "there"}

    async def test_listeners_and_publishers_do_not_share_payloads(self, store: Signals, key: str) -> None:
        payload: dict[str, Any] = {"list": [1]}
        async with store.subscribe(key) as one, store.subscribe(key) as two:
            await store.publish(key, payload)
            payload["list"].append(2)
            (await next_signal(one)).payload["list"].append(3)
            assert (await next_signal(two)).payload == {"list": [1]}
