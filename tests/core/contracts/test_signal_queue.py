"""What waits for one listener of a channel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from jackfield.contracts.session import Signal
from jackfield.contracts.signal_queue import SignalQueue

pytestmark = pytest.mark.anyio


def read(text: str) -> Mapping[str, Any]:
    value: Mapping[str, Any] = json.loads(text)
    return value


async def test_signals_come_in_their_order_each_with_a_payload_of_its_own() -> None:
    queue = SignalQueue(8, read)
    queue.offer(1, '{"a": 1}')
    queue.offer(2, "{}")
    assert [await anext(queue), await anext(queue)] == [Signal(1, {"a": 1}), Signal(2, {})]


async def test_the_oldest_go_where_there_are_too_many() -> None:
    queue = SignalQueue(2, read)
    for sequence in (1, 2, 3):
        queue.offer(sequence, "{}")
    assert [(await anext(queue)).sequence, (await anext(queue)).sequence] == [2, 3]


async def test_what_was_published_before_can_be_dropped() -> None:
    queue = SignalQueue(8, read)
    for sequence in (1, 2, 3):
        queue.offer(sequence, "{}")
    queue.drop_until(2)
    assert (await anext(queue)).sequence == 3


async def test_closing_ends_a_wait() -> None:
    queue = SignalQueue(8, read)
    heard: list[Signal] = []

    async def listen() -> None:
        heard.extend([signal async for signal in queue])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen)
        await checkpoint()
        queue.close()
        queue.offer(1, "{}")
    assert heard == []
