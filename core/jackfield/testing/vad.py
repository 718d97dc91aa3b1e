"""The conformance suite of voice activity detectors."""

from __future__ import annotations

import gc
import logging
import time
import tracemalloc
from collections.abc import Sequence
from statistics import median
from typing import ClassVar, Final

import pytest

from jackfield.contracts.vad import VAD, BatchVAD
from jackfield.testing.suite import Suite

_LOGGER: Final = logging.getLogger(__name__)
_SPEAKERS: Final = 40
"""More than most detectors look at in one step."""
_GONE: Final = 200
_LEFT_BYTES: Final = 50
_BATCHES: Final = (1, 8, 32, 120)
_TIMED: Final = 20
"""Windows timed for each number of speakers."""


class VADSuite(Suite):
    """Subclass it, set `speech`, and define the fixture `vad`: a detector ready for use."""

    speech: ClassVar[bytes]
    """Somebody speaking. PCM, signed 16-bit little-endian, mono, 16000 Hz."""
    threshold: ClassVar[float] = 0.5
    """Probability from which on a window counts as speech."""
    feed_s: ClassVar[float] = 0.0005
    """Most seconds that one window may take."""

    def test_probabilities_lie_between_0_and_1(self, vad: VAD) -> None:
        assert all(0.0 <= probability <= 1.0 for probability in self._feed_all(vad, self.speech))

    def test_speech_is_found(self, vad: VAD) -> None:
        assert max(self._feed_all(vad, self.speech)) >= self.threshold

    def test_silence_is_not_speech(self, vad: VAD) -> None:
        assert max(self._feed_all(vad, bytes(len(self.speech)))) < self.threshold

    def test_speakers_do_not_disturb_one_another(self, vad: VAD) -> None:
        alone = self._feed_all(vad, self.speech)
        one, other = vad.stream(), vad.stream()
        beside = []
        for window in self._windows(vad, self.speech):
            beside.append(one.feed(window))
            other.feed(bytes(len(window)))
        assert beside == pytest.approx(alone, abs=1e-6)

    def test_several_at_once_are_judged_as_one_by_one(self, vad: VAD) -> None:
        if not isinstance(vad, BatchVAD):
            return  # it does not look at several speakers in one step
        sounds = self._sounds(vad)
        streams = [vad.stream() for _ in sounds]
        together = [list(vad.feed_many(streams, windows)) for windows in zip(*sounds, strict=True)]
        for sound, probabilities in zip(sounds, zip(*together, strict=True), strict=True):
            assert list(probabilities) == pytest.approx(self._feed_windows(vad, sound), abs=1e-4)

    def test_any_of_the_speakers_may_be_left_out_for_a_while(self, vad: VAD) -> None:
        if not isinstance(vad, BatchVAD):
            return
        sounds = self._sounds(vad)
        streams, heard = [vad.stream() for _ in sounds], [list[float]() for _ in sounds]
        for step in range(3 * len(sounds[0])):
            here = [at for at in range(len(sounds)) if (step + at) % 3 and len(heard[at]) < len(sounds[at])]
            here.reverse()
            windows = [sounds[at][len(heard[at])] for at in here]
            for at, probability in zip(
                here, vad.feed_many([streams[at] for at in here], windows), strict=True
            ):
                heard[at].append(probability)
        for sound, probabilities in zip(sounds, heard, strict=True):
            assert probabilities == pytest.approx(self._feed_windows(vad, sound), abs=1e-4)

    def test_windows_may_come_alone_and_together_in_turn(self, vad: VAD) -> None:
        if not isinstance(vad, BatchVAD):
            return
        other, sound = self._sounds(vad)[:2]
        stream, beside = vad.stream(), vad.stream()
        heard = [
            vad.feed_many([beside, stream], [second, first])[1] if at % 2 else stream.feed(first)
            for at, (first, second) in enumerate(zip(sound, other, strict=True))
        ]
        assert heard == pytest.approx(self._feed_windows(vad, sound), abs=1e-4)

    def test_nobody_at_all_is_judged_too(self, vad: VAD) -> None:
        if isinstance(vad, BatchVAD):
            assert list(vad.feed_many([], [])) == []

    def test_a_speaker_who_is_gone_costs_no_memory(self, vad: VAD) -> None:
        window = self._windows(vad, self.speech)[0]
        vad.stream().feed(window)
        tracemalloc.start()
        try:
            before_bytes, _ = tracemalloc.get_traced_memory()
            for _ in range(_GONE):
                vad.stream().feed(window)
            gc.collect()
            after_bytes, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert after_bytes - before_bytes < _GONE * _LEFT_BYTES

    def test_a_window_is_quick_enough_for_the_event_loop(self, vad: VAD) -> None:
        stream = vad.stream()
        took_s = []
        for window in self._windows(vad, self.speech):
            begin = time.perf_counter()
            stream.feed(window)
            took_s.append(time.perf_counter() - begin)
        assert sorted(took_s)[len(took_s) // 4] <= self.feed_s

    def test_what_a_window_costs_is_logged(self, vad: VAD) -> None:
        if not isinstance(vad, BatchVAD):
            return
        for count in _BATCHES:
            streams = [vad.stream() for _ in range(count)]
            took_s = []
            for window in self._windows(vad, self.speech)[:_TIMED]:
                begin = time.perf_counter()
                vad.feed_many(streams, [window] * count)
                took_s.append((time.perf_counter() - begin) / count)
            _LOGGER.info("%d speakers at once: %.1f us a window", count, median(took_s) * 1e6)

    def _sounds(self, vad: VAD) -> list[list[bytes]]:
        """Give what several people say, equally many windows each: the speech from different places on."""
        windows = self._windows(vad, self.speech)
        silence = [bytes(len(window)) for window in windows]
        starts = range(0, len(windows), max(1, len(windows) // _SPEAKERS))
        return [silence] + [windows[start:] + windows[:start] for start in starts]

    def _feed_windows(self, vad: VAD, windows: Sequence[bytes]) -> list[float]:
        stream = vad.stream()
        return [stream.feed(window) for window in windows]

    def _feed_all(self, vad: VAD, pcm: bytes) -> list[float]:
        return self._feed_windows(vad, self._windows(vad, pcm))

    def _windows(self, vad: VAD, pcm: bytes) -> list[bytes]:
        size_bytes = vad.window_samples * 2
        return [pcm[at : at + size_bytes] for at in range(0, len(pcm) - size_bytes + 1, size_bytes)]
