"""The examples keep the promises of their kinds."""

from __future__ import annotations

import logging
import math
from array import array
from types import SimpleNamespace

import jackfield_extension_parts as parts
import jackfield_stt_beeps as beeps
import jackfield_transport_intercom as intercom
import jackfield_tts_morse as morse
import jackfield_vad_loudness as loudness
import pytest

from jackfield import Options, Site
from jackfield.contracts.stt import STT, STT_RATE_HZ
from jackfield.contracts.tools import Tool
from jackfield.contracts.transport import Transport
from jackfield.contracts.tts import TTS
from jackfield.contracts.vad import VAD
from jackfield.testing import STTSuite, ToolSuite, TransportSuite, TTSSuite, VADSuite

SITE = Site("test", "test", logging.getLogger("test"))
TONE = array("h", (round(9_000 * math.sin(at / 4)) for at in range(STT_RATE_HZ // 2))).tobytes()
TWO_BEEPS = (TONE + bytes(STT_RATE_HZ)) * 2


class TestBeeps(STTSuite):
    """Every test of the suite."""

    capabilities = beeps.plugin_info().capabilities(beeps.BeepsOptions())
    speech = TWO_BEEPS
    expected_words = ("beep",)

    @pytest.fixture
    def stt(self) -> STT:
        return beeps.make_stt(beeps.BeepsOptions(), SITE)


class TestLiveBeeps(STTSuite):
    """Every test of the suite."""

    capabilities = beeps.plugin_info().capabilities(beeps.BeepsOptions(live=True))
    speech = TWO_BEEPS
    expected_words = ("beep",)

    @pytest.fixture
    def stt(self) -> STT:
        return beeps.make_stt(beeps.BeepsOptions(live=True), SITE)


class TestMorse(TTSSuite):
    """Every test of the suite."""

    capabilities = morse.plugin_info().capabilities(Options())
    deterministic = True

    @pytest.fixture
    def tts(self) -> TTS:
        return morse.make_tts(Options(), SITE)


class TestLoudness(VADSuite):
    """Every test of the suite."""

    capabilities = loudness.plugin_info().capabilities(loudness.LoudnessOptions())
    speech = TWO_BEEPS

    @pytest.fixture
    def vad(self) -> VAD:
        return loudness.make_vad(loudness.LoudnessOptions(), SITE)


class TestIntercom(TransportSuite):
    """Every test of the suite."""

    @pytest.fixture
    def transport(self) -> Transport:
        return intercom.make_transport(Options(), SITE)

    @pytest.fixture
    def panel(self) -> SimpleNamespace:
        return SimpleNamespace()  # none of it is touched before a client comes


class TestParts(ToolSuite):
    """Every test of the suite."""

    @pytest.fixture
    async def tool(self) -> Tool:
        tool = parts.PartsTool()
        await tool.run(SimpleNamespace(scenarios=SimpleNamespace(names=lambda: ["pirate"])))
        return tool
