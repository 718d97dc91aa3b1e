"""The voice that hums."""

from __future__ import annotations

import logging
from array import array
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

import jackfield_tts_tone
from jackfield import Site
from jackfield.contracts.tts import TTS, IncrementalTTS, SpeechMark, SpeechSettings
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


class TestIncrementalToneWithMarks(TTSSuite):
    capabilities = jackfield_tts_tone.plugin_info().capabilities(ToneOptions(incremental=True))
    deterministic = True

    @pytest.fixture
    def tts(self) -> TTS:
        return build(incremental=True, marks=True)


async def pieces_of(*pieces: str) -> AsyncIterator[str]:
    for piece in pieces:
        yield piece


async def test_words_are_marked_where_they_begin() -> None:
    speech = await speech_of(build(character_ms=100, marks=True), " one  two, 3!\n")
    assert speech.marks == (
        SpeechMark("word", "one", 0.0),
        SpeechMark("word", "two,", 0.5),
        SpeechMark("word", "3!", 1.0),
    )


async def test_a_mark_comes_just_before_the_sound_in_which_its_word_begins() -> None:
    synthesis = build(character_ms=100, marks=True).synthesize("ab cd", SpeechSettings())
    kinds = ["mark" if isinstance(output, SpeechMark) else "sound" async for output in synthesis]
    assert kinds == ["mark", "sound", "sound", "sound", "mark", "sound", "sound"]


async def test_words_are_hummed_and_marked_as_soon_as_they_are_complete() -> None:
    tts = build(character_ms=100, marks=True, incremental=True)
    assert isinstance(tts, IncrementalTTS)
    taken: list[str] = []

    async def pieces() -> AsyncIterator[str]:
        for piece in ("o", "ne", " tw", "o three"):
            taken.append(piece)
            yield piece

    outputs = [(output, len(taken)) async for output in tts.stream(pieces(), SpeechSettings())]
    words = [(mark.value, mark.at_s, at) for mark, at in outputs if isinstance(mark, SpeechMark)]
    assert words == [("one", 0.0, 3), ("two", 0.4, 4), ("three", 0.8, 4)]


async def test_signs_before_the_first_word_are_hummed_with_it() -> None:
    tts = build(incremental=True)
    assert isinstance(tts, IncrementalTTS)
    pieces = tts.stream(pieces_of("... ", "- ", "no "), SpeechSettings())
    sound = b"".join([output async for output in pieces if isinstance(output, bytes)])
    assert sound == (await speech_of(tts, "... - no")).pcm


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
