"""The scripted speech recogniser."""

from __future__ import annotations

import logging

import pytest

import jackfield_stt_scripted
from jackfield import Site
from jackfield.contracts.stt import STT, STT_RATE_HZ, Transcript, TranscriptionSettings
from jackfield.testing import STTSuite
from jackfield.testing.stt import frames, next_of, transcribe
from jackfield_stt_scripted import ScriptedOptions

pytestmark = pytest.mark.anyio

SECOND = b"\x01\x00" * STT_RATE_HZ


def build(**options: object) -> STT:
    site = Site("stt", "scripted", logging.getLogger("test"))
    return jackfield_stt_scripted.make_stt(options=ScriptedOptions.model_validate(options), site=site)


class TestScripted(STTSuite):
    speech = SECOND * 2
    expected_words = ("hello", "there")

    @pytest.fixture
    def stt(self) -> STT:
        return build(transcripts=["Hello there, you."])


class TestScriptedWithPartials(STTSuite):
    speech = SECOND * 2
    expected_words = ("hello", "there")
    capabilities = jackfield_stt_scripted.plugin_info().capabilities(ScriptedOptions(partials=True))

    @pytest.fixture
    def stt(self) -> STT:
        return build(transcripts=["Hello there, you."], partials=True, delay_s=0.01)


class TestScriptedThatJudgesTurns(STTSuite):
    speech = SECOND * 2
    expected_words = ("hello", "there")
    judges_turns = True
    capabilities = jackfield_stt_scripted.plugin_info().capabilities(ScriptedOptions(partials=True))

    @pytest.fixture
    def stt(self) -> STT:
        return build(transcripts=["Hello there, you."], partials=True, words_per_s=2, end_of_turn_s=0.7)


async def test_the_end_of_a_turn_is_told_once_with_all_words_after_so_much_silence() -> None:
    heard = []
    silence = bytes(len(SECOND))
    async with build(transcripts=["one two"], end_of_turn_s=0.5).stream(TranscriptionSettings()) as stream:
        transcripts = aiter(stream)
        for pcm in (silence, SECOND, silence[:8_000], SECOND, silence):
            for frame in frames(pcm):
                stream.push(frame)
        heard.append(await anext(transcripts))
        stream.end_utterance()
        heard.append(await anext(transcripts))
    assert [(each.kind, each.text, each.end_of_turn) for each in heard] == [
        ("partial", "one two", True),
        ("final", "one two", False),
    ]
    assert heard[0].end_s == 3.75


async def test_speech_begins_the_silence_anew() -> None:
    stt = build(transcripts=["one two"], end_of_turn_s=0.5)
    async with stt.stream(TranscriptionSettings()) as stream:
        for pcm in (SECOND, bytes(12_800), SECOND, bytes(12_800)):
            for frame in frames(pcm):
                stream.push(frame)
        stream.end_utterance()
        assert not (await anext(aiter(stream))).end_of_turn


async def test_without_a_script_the_transcript_says_how_long_it_was() -> None:
    transcript = await transcribe(build(), [SECOND, SECOND[:16_000]])
    assert transcript == Transcript("1.5 seconds of sound", "final", end_s=1.5, confidence=1.0)


async def test_transcripts_come_in_order_and_again_from_the_first() -> None:
    texts = []
    async with build(transcripts=["one", "two"]).stream(TranscriptionSettings()) as stream:
        transcripts = aiter(stream)
        for _ in range(3):
            stream.push(SECOND)
            stream.end_utterance()
            texts.append((await next_of(transcripts, "final")).text)
    assert texts == ["one", "two", "one"]


async def test_partials_grow_with_the_sound() -> None:
    texts = []
    stt = build(transcripts=["one two three four"], partials=True, words_per_s=2)
    async with stt.stream(TranscriptionSettings()) as stream:
        transcripts = aiter(stream)
        for half_second in frames(SECOND * 2, STT_RATE_HZ):
            stream.push(half_second)
            texts.append((await next_of(transcripts, "partial")).text)
    assert texts == ["one", "one two", "one two three", "one two three four"]


async def test_a_partial_that_nobody_read_gives_way_to_the_final() -> None:
    async with build(transcripts=["one two"], partials=True).stream(TranscriptionSettings()) as stream:
        stream.push(SECOND)
        stream.end_utterance()
        first = await anext(aiter(stream))
    assert (first.kind, first.text) == ("final", "one two")
