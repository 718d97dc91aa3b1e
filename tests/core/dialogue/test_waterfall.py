"""Where the time of a turn goes."""

from __future__ import annotations

from jackfield.dialogue.waterfall import Waterfall
from jackfield.testing import ManualClock


def test_a_stage_is_reached_once() -> None:
    clock = ManualClock()
    waterfall = Waterfall(clock=clock)
    clock.advance(0.25)
    waterfall.reached("first_token")
    clock.advance(1)
    waterfall.reached("first_token")

    assert waterfall.seconds() == {"first_token": 0.25}
    assert waterfall.total_s() == 1.25


def test_a_turn_may_have_begun_before_it_is_measured() -> None:
    clock = ManualClock(10.0)
    waterfall = Waterfall(9.5, clock=clock)
    waterfall.reached("transcript")

    assert waterfall.seconds() == {"transcript": 0.5}


def test_a_beginning_that_is_known_later_counts_for_every_stage() -> None:
    clock = ManualClock(10.0)
    waterfall = Waterfall(clock=clock)
    waterfall.reached("transcript")
    waterfall.began_s = 9.0

    assert waterfall.seconds() == {"transcript": 1.0}


def test_stages_are_in_the_order_of_their_times() -> None:
    clock = ManualClock(10.0)
    waterfall = Waterfall(clock=clock)
    waterfall.reached("transcript")
    waterfall.reached("speech_end", at_s=9.0)

    assert list(waterfall.seconds()) == ["speech_end", "transcript"]
