"""The plugin keeps the promises of a voice activity detector, and is as sensitive as it is told to be."""

from __future__ import annotations

import logging
import math
from array import array

import pytest
from jackfield import Site
from jackfield.contracts.vad import VAD
from jackfield.testing import VADSuite

import jackfield_vad_loudness as plugin

RATE_HZ = 16_000
SITE = Site("vad", "loudness", logging.getLogger("test"))
TONE = array("h", (round(9_000 * math.sin(at / 4)) for at in range(RATE_HZ // 2))).tobytes()


class TestLoudness(VADSuite):
    """Every test of the suite, and one of its own."""

    capabilities = plugin.plugin_info().capabilities(plugin.LoudnessOptions())
    speech = (TONE + bytes(RATE_HZ)) * 2

    @pytest.fixture
    def vad(self) -> VAD:
        return plugin.make_vad(plugin.LoudnessOptions(), SITE)

    def test_what_is_below_the_level_is_not_speech(self, vad: VAD) -> None:
        deaf = plugin.make_vad(plugin.LoudnessOptions(level=20_000), SITE)
        window = TONE[: 2 * vad.window_samples]
        assert deaf.stream().feed(window) < self.threshold <= vad.stream().feed(window)
