"""The recogniser suite fails on recognisers that break a promise."""

from __future__ import annotations

import pytest

from jackfield.contracts.stt import STT, STT_RATE_HZ, Transcript, TranscriptionSettings
from jackfield.plugin import Capabilities
from jackfield.testing import FakeSTT, STTSuite
from jackfield_stt_scripted import ScriptedOptions, ScriptedStream, ScriptedSTT

pytestmark = pytest.mark.anyio


class Suite(STTSuite):
    """The suite, called test by test."""

    __test__ = False
    capabilities = Capabilities(streaming=True)
    speech = b"\x01\x00" * STT_RATE_HZ * 2
    expected_words = ("hello",)


suite = Suite()


def scripted(stream_type: type[ScriptedStream]) -> STT:
    class Broken(ScriptedSTT):
        def stream(self, settings: TranscriptionSettings) -> ScriptedStream:
            return stream_type(ScriptedOptions(transcripts=("hello",)), None)

    return Broken(ScriptedOptions())


async def test_two_finals_for_one_utterance_are_found() -> None:
    class Twice(ScriptedStream):
        def end_utterance(self, *, unchanged: bool = False) -> None:
            self._ready.append(Transcript("hello", "final"))
            super().end_utterance(unchanged=unchanged)

    with pytest.raises(AssertionError, match="belongs to the first"):
        await suite.test_an_utterance_is_answered_by_exactly_one_final(scripted(Twice))


async def test_words_that_depend_on_the_chunks_are_found() -> None:
    class Losing(ScriptedStream):
        def push(self, pcm: bytes) -> None:
            if len(pcm) > 2:
                super().push(pcm)

    stt = scripted(Losing)
    await suite.test_pushing_frames_hears_the_same_as_pushing_all_at_once(stt)
    with pytest.raises(AssertionError):
        await suite.test_pushing_single_samples_hears_the_same_as_pushing_all_at_once(stt)


async def test_words_heard_in_silence_are_found() -> None:
    with pytest.raises(AssertionError):
        await suite.test_without_speech_the_final_is_empty(FakeSTT(), 1)


async def test_streams_that_share_their_sound_are_found() -> None:
    class Sharing(FakeSTT):
        async def recognize(self, pcm: bytes, settings: TranscriptionSettings) -> Transcript:
            self.utterances.append(pcm)
            heard = any(any(utterance) for utterance in self.utterances)
            return Transcript("hello" if heard else "", "final")

    with pytest.raises(AssertionError):
        await suite.test_two_streams_at_once_do_not_mix(Sharing())


async def test_partials_that_are_declared_and_never_come_are_found() -> None:
    class Ending(ScriptedStream):
        def push(self, pcm: bytes) -> None:
            super().push(pcm)
            self._add("final", "hello")
            self._closed = True

    with pytest.raises(AssertionError, match="without a partial"):
        await suite.test_partials_come_before_the_utterance_ends_when_declared(scripted(Ending))


async def test_implausible_times_are_found() -> None:
    class Late(FakeSTT):
        async def recognize(self, pcm: bytes, settings: TranscriptionSettings) -> Transcript:
            return Transcript("hello", "final", start_s=3, end_s=99)

    with pytest.raises(AssertionError):
        await suite.test_times_and_confidence_are_plausible(Late())


async def test_an_error_that_is_not_mapped_is_found() -> None:
    with pytest.raises(KeyError):
        await suite.test_odd_sound_is_answered_or_refused_with_a_provider_error(
            FakeSTT(error=KeyError), "noise"
        )
