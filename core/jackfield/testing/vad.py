"""The conformance suite of voice activity detectors."""

from __future__ import annotations

import time
from typing import ClassVar

import pytest

from jackfield.contracts.vad import VAD, BatchVAD
from jackfield.testing.suite import Suite


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
        speaking, silent = vad.stream(), vad.stream()
        together = [
            vad.feed_many([speaking, silent], [window, bytes(len(window))])
            for window in self._windows(vad, self.speech)
        ]
        assert [pair[0] for pair in together] == pytest.approx(self._feed_all(vad, self.speech), abs=1e-4)
        assert max(pair[1] for pair in together) < self.threshold

    def test_a_window_is_quick_enough_for_the_event_loop(self, vad: VAD) -> None:
        stream = vad.stream()
        took_s = []
        for window in self._windows(vad, self.speech):
            begin = time.perf_counter()
            stream.feed(window)
            took_s.append(time.perf_counter() - begin)
        assert sorted(took_s)[len(took_s) // 4] <= self.feed_s

    def _feed_all(self, vad: VAD, pcm: bytes) -> list[float]:
        stream = vad.stream()
        return [stream.feed(window) for window in self._windows(vad, pcm)]

    def _windows(self, vad: VAD, pcm: bytes) -> list[bytes]:
        size_bytes = vad.window_samples * 2
        return [pcm[at : at + size_bytes] for at in range(0, len(pcm) - size_bytes + 1, size_bytes)]
