"""The plugin keeps the promises of a voice, and takes longer over longer codes."""

from __future__ import annotations

import logging

import pytest
from jackfield import Site
from jackfield.contracts.tts import TTS
from jackfield.testing import TTSSuite
from jackfield.testing.tts import speech_of

import jackfield_tts_morse as plugin

SITE = Site("tts", "morse", logging.getLogger("test"))


class TestMorse(TTSSuite):
    """Every test of the suite, and one of its own."""

    capabilities = plugin.plugin_info().capabilities(plugin.MorseOptions())
    deterministic = True

    @pytest.fixture
    def tts(self) -> TTS:
        return plugin.make_tts(plugin.MorseOptions(), SITE)

    async def test_a_dash_lasts_longer_than_a_dot(self, tts: TTS) -> None:
        dot, dash = await speech_of(tts, "e"), await speech_of(tts, "t")
        assert len(dot.pcm) < len(dash.pcm)
