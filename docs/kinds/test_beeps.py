"""The plugin keeps the promises of a recogniser, in both of its ways, and counts beeps."""

from __future__ import annotations

import logging
import math
from array import array

import pytest
from jackfield import Site
from jackfield.contracts.stt import STT, STT_RATE_HZ
from jackfield.testing import STTSuite
from jackfield.testing.stt import frames, transcribe

import jackfield_stt_beeps as plugin

SITE = Site("stt", "beeps", logging.getLogger("test"))
TONE = array("h", (round(9_000 * math.sin(at / 4)) for at in range(STT_RATE_HZ // 2))).tobytes()
TWO_BEEPS = (TONE + bytes(STT_RATE_HZ)) * 2


class TestBeeps(STTSuite):
    """Every test of the suite, and one of its own."""

    capabilities = plugin.plugin_info().capabilities(plugin.BeepsOptions())
    speech = TWO_BEEPS
    expected_words = ("beep",)

    @pytest.fixture
    def stt(self) -> STT:
        return plugin.make_stt(plugin.BeepsOptions(), SITE)

    async def test_every_beep_is_a_word(self, stt: STT) -> None:
        assert (await transcribe(stt, frames(TWO_BEEPS))).text == "beep beep"


class TestLiveBeeps(STTSuite):
    """Every test of the suite."""

    capabilities = plugin.plugin_info().capabilities(plugin.BeepsOptions(live=True))
    speech = TWO_BEEPS
    expected_words = ("beep",)

    @pytest.fixture
    def stt(self) -> STT:
        return plugin.make_stt(plugin.BeepsOptions(live=True), SITE)
