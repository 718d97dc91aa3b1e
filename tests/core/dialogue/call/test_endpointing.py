"""When utterances begin, pause and end."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final, get_args

import pytest

from jackfield.dialogue.call.endpointing import (
    CallState,
    Ended,
    Endpointing,
    EndpointingEvent,
    Pace,
    Resumed,
    ShortSilence,
    Started,
)

WINDOW_S: Final = 1 / 32  # close to what detectors take, and sums of it are exact
STATES: Final[tuple[CallState, ...]] = get_args(CallState)
CALM: Final = Pace(0.064, 0.128, 0.32, 0.5, 0.35)
WARY: Final = Pace(0.1, 0.128, 0.32, 0.5, 0.35)
PACES: Final[dict[CallState, Pace]] = {"listening": CALM, "thinking": CALM, "speaking": WARY}


def run(machine: Endpointing, probabilities: Iterable[float], at: int = 0) -> list[EndpointingEvent]:
    """Judge windows, of which the first is number `at`."""
    events = (machine.push((at + i + 1) * WINDOW_S, value) for i, value in enumerate(probabilities))
    return [event for event in events if event is not None]


def heard(probabilities: Sequence[float], state: CallState = "listening") -> list[EndpointingEvent]:
    machine = Endpointing(PACES, WINDOW_S)
    machine.set_state(state)
    return run(machine, probabilities)


def windows(text: str) -> list[float]:
    """Speech is `#`, silence `.`, what lies between the thresholds `~`."""
    return [{"#": 1.0, "~": 0.4, ".": 0.0}[sign] for sign in text]


def kinds(events: Sequence[EndpointingEvent]) -> list[type]:
    return [type(event) for event in events]


def test_an_utterance_begins_where_its_first_speech_began() -> None:
    (started,) = heard(windows("...##"))
    assert started == Started(3 * WINDOW_S)


def test_an_utterance_ends_where_its_last_speech_ended() -> None:
    *_, ended = heard(windows("..####" + "." * 10))
    assert ended == Ended(4 * WINDOW_S, 6 * WINDOW_S)


def test_silence_that_is_long_enough_is_told_as_soon_as_it_is() -> None:
    assert kinds(heard(windows("##" + "." * 3))) == [Started]
    assert kinds(heard(windows("##" + "." * 4))) == [Started, ShortSilence]
    assert kinds(heard(windows("##" + "." * 9))) == [Started, ShortSilence]
    assert kinds(heard(windows("##" + "." * 10))) == [Started, ShortSilence, Ended]


def test_speech_after_a_short_silence_goes_on() -> None:
    assert kinds(heard(windows("##....#....."))) == [Started, ShortSilence, Resumed, ShortSilence]


@pytest.mark.parametrize("sound", ["#..#..#..", "....", "~~~~~~", "#"])
def test_speech_that_is_too_short_is_none(sound: str) -> None:
    assert heard(windows(sound)) == []


@pytest.mark.parametrize("sound", ["##", "#.#", "#~"])
def test_a_single_window_that_dips_does_not_hide_speech(sound: str) -> None:
    assert kinds(heard(windows(sound))) == [Started]


def test_a_window_between_the_thresholds_keeps_what_was() -> None:
    assert kinds(heard(windows("##" + "~" * 40))) == [Started]
    assert kinds(heard(windows("##." + "~" * 9))) == [Started, ShortSilence, Ended]


def test_more_speech_is_asked_for_while_the_server_is_speaking() -> None:
    assert kinds(heard(windows("##"), "thinking")) == [Started]
    assert heard(windows("##"), "speaking") == []
    assert kinds(heard(windows("###"), "speaking")) == [Started]


def test_an_utterance_with_more_speech_to_ask_for_begins_where_that_began_too() -> None:
    assert heard(windows("..#.##"), "speaking") == [Started(2 * WINDOW_S)]


def test_speech_counts_by_the_state_that_it_is_heard_in() -> None:
    machine = Endpointing(PACES, WINDOW_S)
    machine.set_state("speaking")
    assert run(machine, windows("##")) == []
    machine.set_state("listening")
    assert kinds(run(machine, windows("#"), at=2)) == [Started]


def test_silence_ends_an_utterance_by_the_pace_of_the_state_that_came_meanwhile() -> None:
    paces = PACES | {"thinking": Pace(0.064, 0.128, 0.64, 0.5, 0.35)}
    machine = Endpointing(paces, WINDOW_S)
    run(machine, windows("##" + "." * 8))
    machine.set_state("thinking")
    assert run(machine, windows("." * 11), at=10) == []
    machine.set_state("listening")
    assert kinds(run(machine, windows("."), at=21)) == [Ended]


def test_windows_that_are_missing_count_by_their_time() -> None:
    machine = Endpointing(PACES, WINDOW_S)
    run(machine, windows("##"))
    assert kinds(run(machine, windows("."), at=30)) == [Ended]


def test_an_utterance_that_was_announced_waits_for_its_first_word() -> None:
    machine = Endpointing(PACES, WINDOW_S)
    assert machine.begin(1.0) == Started(1.0)
    assert run(machine, windows("." * 100), at=50) == []
    assert kinds(run(machine, windows("#" + "." * 10), at=150)) == [ShortSilence, Ended]


def test_an_utterance_is_not_announced_twice() -> None:
    machine = Endpointing(PACES, WINDOW_S)
    run(machine, windows("##"))
    assert machine.begin(1.0) is None


def test_an_utterance_that_is_ended_by_hand_ends_where_its_last_speech_did() -> None:
    machine = Endpointing(PACES, WINDOW_S)
    run(machine, windows("###.."))
    assert machine.end(5 * WINDOW_S) == Ended(3 * WINDOW_S, 3 * WINDOW_S)
    assert not machine.in_utterance


def test_an_announced_utterance_without_speech_ends_now() -> None:
    machine = Endpointing(PACES, WINDOW_S)
    machine.begin(1.0)
    assert machine.end(3.0) == Ended(2.0, 3.0)


def test_without_an_utterance_there_is_nothing_to_end() -> None:
    machine = Endpointing(PACES, WINDOW_S)
    assert machine.end(1.0) is None
    run(machine, windows("#"), at=40)
    assert machine.end(2.0) is None
    assert run(machine, windows("#"), at=41) == [], "what came before the end counts no longer"


def test_speech_that_is_too_short_can_be_accepted() -> None:
    machine = Endpointing(PACES, WINDOW_S)
    assert machine.accept() is None
    run(machine, windows("..#"))
    assert machine.accept() == Started(2 * WINDOW_S)
    assert kinds(run(machine, windows("." * 10), at=3)) == [ShortSilence, Ended]


ALLOWED: Final[dict[type | None, set[type]]] = {
    None: {Started},
    Started: {ShortSilence, Ended},
    ShortSilence: {Resumed, Ended},
    Resumed: {ShortSilence, Ended},
    Ended: {Started},
}


def speech_like(rng: random.Random) -> Iterator[float]:
    """Probabilities that stay high or low for a while, with noise, and sometimes lie on a threshold."""
    for _ in range(rng.randrange(1, 40)):
        level = rng.choice([0.02, 0.2, 0.35, 0.42, 0.5, 0.8, 0.99])
        spread = rng.choice([0.0, 0.1, 0.4])
        for _ in range(rng.randrange(1, 15)):
            yield min(1.0, max(0.0, level + rng.uniform(-spread, spread)))


def random_pace(rng: random.Random) -> Pace:
    stop = rng.uniform(0.05, 0.5)
    return Pace(
        rng.uniform(0, 0.3), rng.uniform(0, 0.6), rng.uniform(0.03, 0.6), stop + rng.uniform(0, 0.4), stop
    )


@pytest.mark.parametrize("seed", range(300))
def test_whatever_is_heard_events_alternate_and_every_utterance_ends(seed: int) -> None:
    rng = random.Random(seed)
    paces: dict[CallState, Pace] = {state: random_pace(rng) for state in STATES}
    machine = Endpointing(paces, WINDOW_S)
    events: list[EndpointingEvent] = []
    at = 0
    for probability in speech_like(rng):
        at += rng.choice([1] * 20 + [2, 30])  # some windows are missing
        event = machine.push(at * WINDOW_S, probability)
        if rng.random() < 0.1:
            machine.set_state(rng.choice(STATES))
        if rng.random() < 0.02:
            events += [made for made in (event, machine.begin(at * WINDOW_S)) if made]
            event = None
        if rng.random() < 0.02:
            events += [made for made in (event, machine.end(at * WINDOW_S)) if made]
            event = None
        events += [event] if event else []
    if machine.in_utterance:
        rest = [*windows("#" + "." * 20)]  # an announced one waits for speech
        events += run(machine, rest, at)
        at += len(rest)
    assert not machine.in_utterance
    assert all(type(after) in ALLOWED[type(before)] for before, after in pairwise(events))
    assert not events or (isinstance(events[0], Started) and isinstance(events[-1], Ended))
    began_s = 0.0
    for event in events:
        if isinstance(event, Started):
            began_s = event.at_s
        elif isinstance(event, Ended):
            assert event.spoken_s >= 0
            assert event.silent_since_s == pytest.approx(began_s + event.spoken_s)
    late = windows("." * 3 + "#" * 12)
    assert kinds(run(machine, late, at)) == [Started], "it hears the next one"
