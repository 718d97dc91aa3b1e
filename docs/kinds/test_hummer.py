"""The plugin keeps the promises of a speech-to-speech model, and hears how long somebody spoke."""

from __future__ import annotations

import logging
import math
from array import array

import pytest
from jackfield import Site
from jackfield.contracts.realtime import Realtime, RealtimeSettings, RealtimeSpeech, RealtimeText
from jackfield.testing import RealtimeSuite

import jackfield_realtime_hummer as plugin

SITE = Site("realtime", "hummer", logging.getLogger("test"))


class TestHummer(RealtimeSuite):
    """Every test of the suite, and one of its own."""

    capabilities = plugin.plugin_info().capabilities(plugin.HummerOptions())

    @pytest.fixture
    def realtime(self) -> Realtime:
        return plugin.make_realtime(plugin.HummerOptions(), SITE)

    async def test_speech_is_answered_after_a_pause(self, realtime: Realtime) -> None:
        async with realtime.session(RealtimeSettings()) as session:
            tone = array("h", (round(9_000 * math.sin(at / 4)) for at in range(session.rate_hz)))
            session.push(tone.tobytes())
            session.push(bytes(2 * session.rate_hz))
            heard, words = [], ""
            async for output in session:
                if isinstance(output, RealtimeSpeech):
                    heard.append(output.state)
                if isinstance(output, RealtimeText):
                    words += output.text
                    if output.done:
                        break
        assert heard == ["started", "stopped"]
        assert words == "You spoke for 1.0 seconds. "
