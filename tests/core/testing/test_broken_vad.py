"""The suite of voice activity detectors passes on one that keeps its promises, and finds broken ones."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from jackfield.contracts.vad import VAD, VADStream
from jackfield.testing import VADSuite

SPEECH = b"".join(bytes([at % 128, at % 128]) * 512 for at in range(0, 600, 7))


class Rising:
    """What is remembered of one speaker: the loudest sound so far, which counts for half."""

    def __init__(self) -> None:
        self.loudest = 0.0

    def feed(self, window: bytes) -> float:
        loudness = window[0] / 128
        self.loudest = max(self.loudest, loudness)
        return (loudness + self.loudest) / 2


class Loudness:
    """A detector that takes loud sound for speech, and looks at several speakers in one step."""

    window_samples = 512

    def stream(self) -> VADStream:
        return Rising()

    def feed_many(self, streams: Sequence[VADStream], windows: Sequence[bytes]) -> Sequence[float]:
        return [stream.feed(window) for stream, window in zip(streams, windows, strict=True)]


class TestLoudness(VADSuite):
    speech = SPEECH

    @pytest.fixture
    def vad(self) -> VAD:
        return Loudness()


def test_answers_in_another_order_are_found() -> None:
    class Sorted(Loudness):
        def feed_many(self, streams: Sequence[VADStream], windows: Sequence[bytes]) -> Sequence[float]:
            return sorted(super().feed_many(streams, windows))

    with pytest.raises(AssertionError):
        TestLoudness().test_several_at_once_are_judged_as_one_by_one(Sorted())


def test_memories_that_go_by_place_are_found() -> None:
    class ByPlace(Loudness):
        def __init__(self) -> None:
            self.places = [Rising() for _ in range(100)]

        def feed_many(self, streams: Sequence[VADStream], windows: Sequence[bytes]) -> Sequence[float]:
            return [place.feed(window) for place, window in zip(self.places, windows, strict=False)]

    with pytest.raises(AssertionError):
        TestLoudness().test_any_of_the_speakers_may_be_left_out_for_a_while(ByPlace())


def test_memories_that_only_steps_together_know_are_found() -> None:
    class Apart(Loudness):
        def __init__(self) -> None:
            self.together: dict[int, Rising] = {}

        def feed_many(self, streams: Sequence[VADStream], windows: Sequence[bytes]) -> Sequence[float]:
            own = [self.together.setdefault(id(stream), Rising()) for stream in streams]
            return super().feed_many(own, windows)

    with pytest.raises(AssertionError):
        TestLoudness().test_windows_may_come_alone_and_together_in_turn(Apart())


def test_a_detector_that_cannot_stand_an_empty_room_is_found() -> None:
    class Crowded(Loudness):
        def feed_many(self, streams: Sequence[VADStream], windows: Sequence[bytes]) -> Sequence[float]:
            return [0.0] if not streams else super().feed_many(streams, windows)

    with pytest.raises(AssertionError):
        TestLoudness().test_nobody_at_all_is_judged_too(Crowded())


def test_a_detector_that_keeps_everybody_is_found() -> None:
    class Keeping(Loudness):
        def __init__(self) -> None:
            self.kept: list[VADStream] = []

        def stream(self) -> VADStream:
            self.kept.append(super().stream())
            return self.kept[-1]

    with pytest.raises(AssertionError):
        TestLoudness().test_a_speaker_who_is_gone_costs_no_memory(Keeping())
