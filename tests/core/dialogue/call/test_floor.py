"""Only what has the floor is heard and told."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from jackfield.contracts.call import CallTrouble, ReplyFinished, ReplyStarted, ReplyText
from jackfield.dialogue.call.floor import Floor
from jackfield.testing import ManualLeg, VirtualClock

pytestmark = pytest.mark.anyio

SECOND = b"\x01\x00" * 8_000


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


def finished(item: int) -> ReplyFinished:
    return ReplyFinished(item, "", "interrupted")


async def test_items_are_counted_up() -> None:
    floor = Floor(leg := ManualLeg())

    assert [floor.take(), floor.take()] == [1, 2]
    assert leg.events(ReplyStarted) == [ReplyStarted(1), ReplyStarted(2)]


async def test_nothing_of_an_earlier_item_is_played_or_told() -> None:
    floor = Floor(leg := ManualLeg(8_000))
    old, new = floor.take(), floor.take()
    floor.play(new, SECOND)
    floor.play(old, SECOND)
    floor.write(old, "stale")
    floor.tell(old, CallTrouble("llm_failed"))
    floor.leave(old, finished(old), silence=True)
    floor.complete(old)
    await anyio.sleep(0.5)

    assert leg.heard_pcm(new) == SECOND[:8_000]
    assert {type(event) for _, event in leg.told} == {ReplyStarted}
    assert floor.heard_s(old) == 0


async def test_nothing_of_an_item_is_played_or_told_after_its_end() -> None:
    floor = Floor(leg := ManualLeg(8_000))
    item = floor.take()
    floor.play(item, SECOND)
    await anyio.sleep(0.5)
    floor.leave(item, finished(item), silence=True)
    floor.play(item, SECOND)
    floor.write(item, "stale")
    await anyio.sleep(5)

    assert leg.heard_pcm(item) == SECOND[:8_000]
    assert leg.events(ReplyText) == []
    assert leg.told[-1][1] == finished(item)
