"""The leg that tests of calls play into."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import anyio
import pytest

from jackfield.contracts.call import Call, CallTrouble
from jackfield.testing import ManualLeg, VirtualClock

pytestmark = pytest.mark.anyio

SECOND = b"\x01\x00" * 8_000


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


@dataclass
class Listener:
    """The part of a call that a leg talks to."""

    finished: list[tuple[float, int]] = field(default_factory=list)

    def played(self, item: int) -> None:
        self.finished.append((anyio.current_time(), item))


def leg_of(listener: Listener) -> ManualLeg:
    leg = ManualLeg(8_000)
    leg.call = cast(Call, listener)  # no more of it is used
    return leg


async def test_sound_is_heard_as_fast_as_time_passes() -> None:
    leg = ManualLeg(8_000)
    leg.play(1, SECOND)
    await anyio.sleep(0.25)

    assert (leg.heard_s(), leg.ahead_s()) == (0.25, 0.75)
    assert leg.heard_pcm(1) == SECOND[:4_000]
    assert leg.playing


async def test_more_is_not_heard_than_was_given() -> None:
    leg = ManualLeg(8_000)
    leg.play(1, SECOND)
    await anyio.sleep(5)
    leg.play(1, SECOND)

    assert (leg.heard_s(), leg.ahead_s()) == (1.0, 1.0)


async def test_the_end_of_an_item_is_told_when_it_was_heard() -> None:
    listener = Listener()
    leg = leg_of(listener)
    leg.play(1, SECOND)
    leg.end(1)
    await anyio.sleep(2)

    assert listener.finished == [(1.0, 1)]


async def test_an_item_without_sound_is_heard_at_once() -> None:
    listener = Listener()
    leg_of(listener).end(3)
    await anyio.sleep(0.1)

    assert listener.finished == [(0.0, 3)]


async def test_a_pause_is_silence_and_nothing_of_the_sound_is_lost() -> None:
    listener = Listener()
    leg = leg_of(listener)
    leg.play(1, SECOND)
    leg.end(1)
    await anyio.sleep(0.5)
    leg.pause()
    await anyio.sleep(3)
    assert (leg.heard_s(), leg.playing) == (0.5, False)
    leg.resume()
    await anyio.sleep(3)

    assert listener.finished == [(4.0, 1)]
    assert leg.heard_pcm(1) == SECOND


async def test_what_was_cleared_is_never_heard() -> None:
    listener = Listener()
    leg = leg_of(listener)
    leg.play(1, SECOND)
    leg.end(1)
    await anyio.sleep(0.5)
    leg.clear()
    await anyio.sleep(3)

    assert (leg.heard_s(), leg.ahead_s(), listener.finished) == (0.5, 0.0, [])


async def test_sound_of_an_earlier_item_is_a_mistake() -> None:
    leg = ManualLeg()
    leg.play(2, SECOND)

    with pytest.raises(ValueError, match="item 1 after item 2"):
        leg.play(1, SECOND)


async def test_events_are_kept_with_their_times() -> None:
    leg = ManualLeg()
    await anyio.sleep(2)
    leg.tell(CallTrouble("llm_failed"))

    assert leg.told == [(2.0, CallTrouble("llm_failed"))]
    assert await leg.told_of(CallTrouble) == CallTrouble("llm_failed")
