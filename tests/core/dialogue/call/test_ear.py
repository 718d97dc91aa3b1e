"""Sound goes into the ear, utterances come out."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise, repeat
from typing import Any, Final

import anyio
import pytest

from jackfield.config.sections import CallSection
from jackfield.contracts.stt import STT_RATE_HZ
from jackfield.dialogue.call.ear import Ear
from jackfield.dialogue.call.windows import SpeechWindows
from jackfield.errors import ProviderError, ProviderUnavailable
from jackfield.testing import VirtualClock
from tests.core.dialogue.call.detectors import WINDOW_SAMPLES, LevelBatchVAD, LevelVAD, probability_of, window

pytestmark = pytest.mark.anyio

WINDOW_S: Final = WINDOW_SAMPLES / STT_RATE_HZ
WINDOW_BYTES: Final = 2 * WINDOW_SAMPLES
SETTINGS: Final = CallSection()
"""An utterance needs 2 windows of speech, 3 to interrupt; 4 are a short silence, 10 end it."""
PRE_ROLL: Final = 10
"""Windows, rounded up."""


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


@dataclass
class Notes:
    """Writes down what the ear tells. The sound is kept by utterance."""

    events: list[str] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    sounds: list[bytearray] = field(default_factory=list)
    errors: list[ProviderError] = field(default_factory=list)
    given_s: list[float] = field(default_factory=list)
    ear: Ear | None = None
    closes: bool = False
    """Whether it closes the ear when speech starts."""
    in_utterance: bool = False

    def speech_started(self, at_s: float) -> None:
        self.events.append("started")
        self.times_s.append(at_s)
        self.sounds.append(bytearray())
        self.in_utterance = True
        if self.ear is not None:
            self.given_s.append(self.ear.given_s)
            if self.closes:
                self.ear.close()

    def sound(self, pcm: bytes) -> None:
        if not self.in_utterance:
            self.sounds.append(bytearray())
            self.in_utterance = True
        self.sounds[-1] += pcm

    def short_silence(self) -> None:
        self.events.append("short")

    def speech_resumed(self) -> None:
        self.events.append("resumed")

    def speech_ended(self, spoken_s: float, silent_since_s: float) -> None:
        self.events.append("ended")
        self.in_utterance = False
        self.times_s += [spoken_s, silent_since_s]

    def detector_failed(self, error: ProviderError) -> None:
        self.errors.append(error)


def listen(
    vad: LevelVAD | None = None, *, explicit: bool = False, settings: CallSection = SETTINGS
) -> tuple[Ear, Notes]:
    notes = Notes()
    detector = None if explicit else SpeechWindows(vad or LevelVAD())
    ear = Ear(rate_hz=STT_RATE_HZ, detector=detector, settings=settings, listener=notes)
    notes.ear = ear
    return ear, notes


def sound(text: str) -> bytes:
    """Speech is `#`, silence `.`: a window each."""
    return b"".join(window(1.0 if sign == "#" else 0.0) for sign in text)


def numbered(count: int) -> bytes:
    """Speech of which each window can be told from the others."""
    return b"".join(window(0.6 + 0.001 * number) for number in range(count))


def cut(pcm: bytes, sizes_bytes: Iterable[int]) -> Iterable[bytes]:
    at = 0
    for size_bytes in sizes_bytes:
        yield pcm[at : at + size_bytes]
        at += size_bytes
        if at >= len(pcm):
            return


def text_of(pcm: bytes | bytearray) -> str:
    windows = (bytes(pcm[at : at + WINDOW_BYTES]) for at in range(0, len(pcm), WINDOW_BYTES))
    return "".join("#" if probability_of(one) >= 0.5 else "." for one in windows)


def test_an_utterance_comes_with_the_sound_before_it_and_the_silence_that_ends_it() -> None:
    ear, notes = listen()
    ear.feed(sound("." * 30 + "#" * 5 + "." * 30))
    assert notes.events == ["started", "short", "ended"]
    assert text_of(notes.sounds[0]) == "." * PRE_ROLL + "#" * 5 + "." * 10
    assert notes.times_s == pytest.approx([30 * WINDOW_S, 5 * WINDOW_S, 35 * WINDOW_S])


def test_speech_that_goes_on_after_a_short_silence_is_the_same_utterance() -> None:
    ear, notes = listen()
    ear.feed(sound("##....##" + "." * 10))
    assert notes.events == ["started", "short", "resumed", "short", "ended"]
    assert text_of(notes.sounds[0]) == "##....##" + "." * 10


def test_all_sound_has_been_given_when_a_short_silence_is_told() -> None:
    ear, notes = listen()
    ear.feed(sound("##...."))
    assert notes.events[-1] == "short"
    assert text_of(notes.sounds[0]) == "##...."


def test_silence_is_not_given() -> None:
    ear, notes = listen()
    ear.feed(sound("." * 100 + "#" + "." * 100))
    assert notes.events == []
    assert notes.sounds == []


def test_the_next_utterance_does_not_repeat_speech_of_the_one_before() -> None:
    ear, notes = listen()
    ear.feed(sound("##" + "." * 10 + "##" + "." * 10))
    assert [text_of(pcm) for pcm in notes.sounds] == ["##" + "." * 10, "." * 10 + "##" + "." * 10]


def test_an_interruption_needs_more_speech_and_comes_with_all_of_it() -> None:
    ear, notes = listen()
    ear.set_state("speaking")
    ear.feed(sound("." * 30 + "#.#"))
    assert notes.events == []
    ear.feed(sound("#"))
    assert notes.events == ["started"]
    assert text_of(notes.sounds[0]) == "." * PRE_ROLL + "#.##"


def test_an_interruption_may_need_much_more_speech_than_the_pre_roll() -> None:
    settings = CallSection(interrupt_ms=1600, pre_roll_ms=50)
    ear, notes = listen(settings=settings)
    ear.set_state("speaking")
    ear.feed(sound("." * 30 + "#." * 49 + "#"))
    assert notes.events == ["started"]
    assert text_of(notes.sounds[0]) == ".." + "#." * 49 + "#"


def test_an_utterance_that_does_not_end_is_ended_and_the_next_goes_on_where_it_was() -> None:
    settings = CallSection(utterance_seconds=0.64)
    ear, notes = listen(settings=settings)
    pcm = numbered(50)
    ear.feed(pcm)
    assert notes.events == ["started", "ended"] * 2 + ["started"]
    assert b"".join(notes.sounds) == pcm
    assert len(notes.sounds[0]) == 20 * WINDOW_BYTES


@pytest.mark.parametrize("seed", range(20))
def test_it_makes_no_difference_how_the_sound_is_cut(seed: int) -> None:
    rng = random.Random(seed)
    pcm = b"".join(sound(rng.choice("#.") * rng.randrange(1, 15)) for _ in range(30)) + sound("." * 20)
    whole, notes = listen()
    whole.feed(pcm)
    pieces, other = listen()
    for piece in cut(pcm, iter(lambda: rng.choice([1, 3, 320, 641, 5000]), None)):
        pieces.feed(piece)
    assert (other.events, other.times_s, other.sounds) == (notes.events, notes.times_s, notes.sounds)
    assert pieces.now_s == whole.now_s == len(pcm) / 32_000


def test_what_the_client_says_begins_and_ends_an_utterance() -> None:
    ear, notes = listen()
    ear.feed(sound("." * 20))
    ear.begin_speech()
    ear.feed(sound("." * 20 + "#"))
    ear.feed(sound("###")[: -WINDOW_BYTES // 2])
    ear.end_speech()
    assert notes.events == ["started", "ended"]
    assert notes.sounds[0] == sound("." * 20 + "####")[: -WINDOW_BYTES // 2]
    assert notes.times_s == pytest.approx([20 * WINDOW_S, 23 * WINDOW_S, 43 * WINDOW_S])


def test_what_the_client_says_to_be_over_is_not_part_of_the_next_utterance() -> None:
    ear, notes = listen()
    ear.feed(sound("####"))
    ear.end_speech()
    ear.feed(sound("##"))
    assert notes.events == ["started", "ended", "started"]
    assert [text_of(pcm) for pcm in notes.sounds] == ["####", "##"]


def test_half_a_window_that_was_given_already_is_not_given_again() -> None:
    ear, notes = listen()
    pcm = numbered(8)
    middle = 4 * WINDOW_BYTES + 100
    ear.feed(pcm[:middle])
    ear.end_speech()
    ear.feed(pcm[middle : middle + 3 * WINDOW_BYTES])
    assert notes.sounds == [pcm[:middle], pcm[middle : middle + 3 * WINDOW_BYTES]]


def test_sound_before_the_client_says_that_speech_begins_is_forgotten() -> None:
    ear, notes = listen()
    ear.feed(sound("." * 20 + "#"))
    ear.begin_speech()
    ear.feed(sound("#" + "." * 10))
    assert notes.events == ["started", "short", "ended"]
    assert text_of(notes.sounds[0]) == "#" + "." * 10


def test_beginning_within_an_utterance_changes_nothing() -> None:
    ear, notes = listen()
    ear.feed(sound("##"))
    ear.begin_speech()
    ear.feed(sound("." * 10))
    assert notes.events == ["started", "short", "ended"]
    assert text_of(notes.sounds[0]) == "##" + "." * 10


def test_a_word_too_short_to_be_noticed_counts_when_the_client_says_that_it_is_over() -> None:
    ear, notes = listen()
    ear.feed(sound("." * 20 + "#"))
    ear.end_speech()
    assert notes.events == ["started", "ended"]
    assert text_of(notes.sounds[0]) == "." * PRE_ROLL + "#"


def test_the_end_of_nothing_is_not_told() -> None:
    ear, notes = listen()
    ear.feed(sound("." * 20))
    ear.end_speech()
    ear.end_speech()
    assert notes.events == []


def test_an_utterance_that_was_announced_and_never_spoken_ends() -> None:
    ear, notes = listen(settings=CallSection(utterance_seconds=2))
    ear.begin_speech()
    ear.feed(sound("." * 100))
    assert notes.events == ["started", "ended"]


async def many_calls(vad: LevelBatchVAD) -> tuple[Ear, Notes]:
    """A call beside so many others that its windows are collected."""
    windows = SpeechWindows(vad)
    notes = Notes()
    for _ in range(10):
        windows.register(lambda probability, at_s: None, lambda error, at_s: None)
    notes.ear = Ear(rate_hz=STT_RATE_HZ, detector=windows, settings=SETTINGS, listener=notes)
    return notes.ear, notes


async def test_verdicts_that_come_a_tick_late_change_nothing() -> None:
    pcm = sound("." * 30 + "#" * 5 + "." * 30)
    ear, at_once = listen()
    ear.feed(pcm)
    ear, late = await many_calls(LevelBatchVAD())
    for frame in cut(pcm, repeat(640)):
        ear.feed(frame)
        await anyio.sleep(0.02)
    await anyio.sleep(0.1)
    assert (late.events, late.sounds, late.times_s) == (at_once.events, at_once.sounds, at_once.times_s)


async def test_sound_that_was_not_judged_yet_belongs_to_the_utterance_that_the_client_ends() -> None:
    ear, notes = await many_calls(LevelBatchVAD())
    ear.feed(sound("##"))
    await anyio.sleep(0.1)
    ear.feed(sound("###"))
    ear.end_speech()
    await anyio.sleep(0.1)
    assert notes.events == ["started", "ended"]
    assert text_of(notes.sounds[0]) == "#####"
    ear.feed(sound("##"))
    await anyio.sleep(0.1)
    assert [text_of(pcm) for pcm in notes.sounds] == ["#####", "##"]


async def test_verdicts_on_sound_before_the_client_began_do_not_count() -> None:
    ear, notes = await many_calls(LevelBatchVAD())
    ear.feed(sound("#." + "." * 30))
    ear.begin_speech()
    await anyio.sleep(0.1)
    ear.feed(sound("#"))
    await anyio.sleep(0.1)
    assert notes.events == ["started"]
    assert text_of(notes.sounds[0]) == "#"


async def test_utterances_that_end_before_any_verdict_keep_their_own_sound() -> None:
    ear, notes = await many_calls(LevelBatchVAD())
    for number in range(3):
        ear.begin_speech()
        ear.feed(window(0.6 + number / 10))
        ear.end_speech()
    await anyio.sleep(0.1)
    assert notes.events == ["started", "ended"] * 3
    assert notes.sounds == [window(0.6), window(0.7), window(0.8)]


def test_a_closed_ear_without_a_detector_tells_nothing_more() -> None:
    ear, notes = listen(explicit=True)
    ear.close()
    ear.feed(b"abcd")
    ear.begin_speech()
    ear.end_speech()
    assert notes.events == []
    assert notes.sounds == []


async def test_a_closed_ear_tells_nothing_more() -> None:
    ear, notes = await many_calls(LevelBatchVAD())
    ear.feed(sound("##"))
    ear.close()
    ear.close()
    ear.feed(sound("##"))
    ear.end_speech()
    await anyio.sleep(0.1)
    assert notes.events == []


def test_the_listener_may_close_the_ear_while_it_is_told() -> None:
    ear, notes = listen()
    notes.closes = True
    ear.feed(sound("####" + "." * 20))
    assert notes.events == ["started"]
    assert notes.sounds == [b""]


def test_a_detector_that_fails_is_told_and_ends_the_utterance() -> None:
    def crash() -> float:
        raise RuntimeError

    vad = LevelVAD()
    ear, notes = listen(vad)
    ear.feed(sound("##"))
    vad.broken = crash
    ear.feed(sound("#" * 10))
    assert notes.events == ["started", "short", "ended"]
    assert [type(error) for error in notes.errors] == [ProviderUnavailable] * 10


def test_without_a_detector_all_sound_is_given_at_once() -> None:
    ear, notes = listen(explicit=True)
    ear.feed(b"abcd")
    ear.feed(b"ef")
    assert notes.sounds == [b"abcdef"]
    assert notes.events == []
    assert ear.given_s == 3 / STT_RATE_HZ


def test_without_a_detector_the_client_ends_the_utterance() -> None:
    ear, notes = listen(explicit=True)
    ear.feed(bytes(32_000))
    ear.end_speech()
    ear.end_speech()
    ear.feed(bytes(3200))
    ear.end_speech()
    assert notes.events == ["ended", "ended"]
    assert notes.times_s == pytest.approx([1.0, 1.0, 0.1, 1.1])
    assert [len(pcm) for pcm in notes.sounds] == [32_000, 3200]


def test_without_a_detector_what_came_before_the_beginning_can_be_told_from_what_follows() -> None:
    ear, notes = listen(explicit=True)
    ear.feed(bytes(32_000))
    ear.begin_speech()
    ear.feed(bytes(6400))
    ear.end_speech()
    assert notes.given_s == [1.0]
    assert notes.times_s == pytest.approx([1.0, 0.2, 1.2])


def test_without_a_detector_an_utterance_that_is_too_long_is_ended() -> None:
    ear, notes = listen(explicit=True, settings=CallSection(utterance_seconds=1))
    for _ in range(150):
        ear.feed(bytes(640))
    assert notes.events == ["ended"] * 3
    assert [len(pcm) for pcm in notes.sounds] == [32_000] * 3


def test_half_a_sample_waits_for_its_other_half() -> None:
    ear, notes = listen(explicit=True)
    for piece in (b"abc", b"d", b"e", b"", b"fgh"):
        ear.feed(piece)
    assert notes.sounds == [b"abcdefgh"]


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000])
def test_sound_at_another_rate_is_resampled(rate_hz: int) -> None:
    notes = Notes()
    ear = Ear(rate_hz=rate_hz, detector=None, settings=SETTINGS, listener=notes)
    wave = [round(9000 * math.sin(at / rate_hz * 440 * math.tau)) for at in range(rate_hz)]
    pcm = b"".join(value.to_bytes(2, "little", signed=True) for value in wave)
    for piece in cut(pcm, repeat(1001)):
        ear.feed(piece)
    assert ear.now_s == pytest.approx(1.0, abs=0.003)
    (heard,) = notes.sounds
    samples = [int.from_bytes(heard[at : at + 2], "little", signed=True) for at in range(0, len(heard), 2)]
    crossings = sum(before < 0 <= after for before, after in pairwise(samples))
    assert crossings == pytest.approx(440, abs=2)


@pytest.mark.parametrize("seed", range(100))
def test_whatever_happens_an_utterance_ends_and_no_speech_is_given_twice(seed: int) -> None:
    rng = random.Random(seed)
    ear, notes = listen(settings=CallSection(utterance_seconds=3))
    number = 0
    for _ in range(60):
        if rng.random() < 0.5:
            count = rng.randrange(1, 40)
            ear.feed(b"".join(window(0.6 + 0.001 * ((number + at) % 400)) for at in range(count)))
            number += count
        else:
            ear.feed(sound("." * rng.randrange(1, 25)))
        if rng.random() < 0.25:
            rng.choice([ear.begin_speech, ear.end_speech])()
        ear.set_state(rng.choice(["listening", "thinking", "speaking"]))
    ear.feed(sound("." * 100))
    told = [event for event in notes.events if event in ("started", "ended")]
    assert told == ["started", "ended"] * (len(told) // 2)
    given = b"".join(notes.sounds)
    spoken = [given[at : at + WINDOW_BYTES] for at in range(0, len(given), WINDOW_BYTES)]
    levels = [round(probability_of(one) * 1000) for one in spoken if probability_of(one) >= 0.5]
    steps = [(after - before) % 400 for before, after in pairwise(levels)]
    assert all(0 < step < 200 for step in steps), "speech comes in its order"
