"""The voice that hums."""

from __future__ import annotations

import logging
from array import array
from itertools import pairwise

import pytest

import jackfield_tts_tone
from jackfield import Site
from jackfield.contracts.tts import TTS, SpeechSettings
from jackfield.testing import TTSSuite
from jackfield.testing.tts import speech_of
from jackfield_tts_tone import ToneOptions

pytestmark = pytest.mark.anyio


def build(**options: object) -> TTS:
    site = Site("tts", "tone", logging.getLogger("test"))
    return jackfield_tts_tone.make_tts(options=ToneOptions.model_validate(options), site=site)


class TestTone(TTSSuite):
    capabilities = jackfield_tts_tone.plugin_info().capabilities(ToneOptions())
    deterministic = True

    @pytest.fixture
    def tts(self) -> TTS:
        return build()


class TestSlowToneAtAnOddRate(TTSSuite):
    deterministic = True

    @pytest.fixture
    def tts(self) -> TTS:
        return build(rate_hz=22_051, delay_s=0.001)


async def test_each_character_takes_its_milliseconds() -> None:
    speech = await speech_of(build(character_ms=100, rate_hz=8_000), "ten chars.")
    assert speech.duration_s == 1.0


async def test_the_note_has_its_frequency() -> None:
    pcm = (await speech_of(build(frequency_hz=440, character_ms=500), "four")).pcm
    samples = array("h", pcm)
    rising = sum(before < 0 <= after for before, after in pairwise(samples))
    assert rising in range(2 * 440 - 2, 2 * 440 + 1)


@pytest.mark.parametrize("rate_hz", [8_000, 22_051])
async def test_the_wave_goes_on_from_chunk_to_chunk(rate_hz: int) -> None:
    pcm = (await speech_of(build(rate_hz=rate_hz, frequency_hz=100, character_ms=300), "ten chars.")).pcm
    steepest = max(abs(after - before) for before, after in pairwise(array("h", pcm)))
    assert steepest < 32_767 * 0.3 * 0.09  # 2 pi 100 / 8000, and a little


async def test_chunks_are_a_tenth_of_a_second() -> None:
    synthesis = build(rate_hz=8_000).synthesize("hello there", SpeechSettings())
    sizes = [len(output) async for output in synthesis if isinstance(output, bytes)]
    assert sizes == [1600] * 6 + [960]
