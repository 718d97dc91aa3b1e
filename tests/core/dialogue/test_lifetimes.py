"""When conversations begin and end, by a clock that the test sets."""

from __future__ import annotations

from jackfield.contracts.extension import Event, SessionClosed, SessionOpened
from jackfield.dialogue.lifetimes import Lifetimes
from jackfield.testing import ManualClock
from tests.core.dialogue.stage import Figures


class Watched:
    """Lifetimes of a hundred seconds with all that can be seen of them."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.events: list[Event] = []
        self.figures = Figures()
        self.lifetimes = Lifetimes(100, self.figures, self.events.append, self.clock)

    @property
    def active(self) -> float:
        return self.figures.named["jackfield_active_sessions"].values.get(("door",), 0)

    @property
    def opened(self) -> float:
        return self.figures.named["jackfield_sessions_total"].values.get(("door",), 0)


def test_a_conversation_opens_with_its_first_turn_and_closes_when_it_expires() -> None:
    watched = Watched()
    watched.lifetimes.seen("k", "door", created=True)
    watched.clock.advance(60)
    watched.lifetimes.seen("k", "door", created=False)
    watched.clock.advance(99)
    watched.lifetimes.sweep()
    assert watched.active == watched.opened == 1

    watched.clock.advance(1)
    watched.lifetimes.sweep()

    assert watched.events == [SessionOpened("door", "k"), SessionClosed("door", "k", 60.0)]
    assert (watched.active, watched.opened) == (0, 1)
    assert watched.figures.named["jackfield_session_seconds"].observed == [(60.0, ("door",))]


def test_refreshing_puts_the_end_off() -> None:
    watched = Watched()
    watched.lifetimes.seen("old", "door", created=True)
    watched.lifetimes.seen("other", "door", created=True)
    watched.clock.advance(90)
    watched.lifetimes.refreshed("old")
    watched.lifetimes.refreshed("unknown")
    watched.clock.advance(90)
    watched.lifetimes.sweep()

    assert [event.session for event in watched.events if isinstance(event, SessionClosed)] == ["other"]
    assert watched.active == 1


def test_a_conversation_that_expired_unseen_and_begins_anew_is_two() -> None:
    watched = Watched()
    watched.lifetimes.seen("k", "door", created=True)
    watched.lifetimes.seen("k", "door", created=True)

    assert [type(event) for event in watched.events] == [SessionOpened, SessionClosed, SessionOpened]
    assert (watched.active, watched.opened) == (1, 2)


def test_a_conversation_of_an_earlier_run_is_alive_but_not_opened() -> None:
    watched = Watched()
    watched.lifetimes.seen("k", "door", created=False)

    assert watched.events == []
    assert (watched.active, watched.opened) == (1, 0)


def test_no_more_than_ten_thousand_are_followed() -> None:
    watched = Watched()
    for number in range(10_001):
        watched.lifetimes.seen(str(number), "door", created=True)

    assert watched.active == 10_000
    assert watched.events[-2:] == [SessionClosed("door", "0", 0.0), SessionOpened("door", "10000")]
