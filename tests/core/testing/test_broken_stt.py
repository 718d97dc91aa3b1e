"""The recogniser suite fails on recognisers that break a promise."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Literal

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
Kind = Literal["partial", "tentative", "final"]


class Keeping(ScriptedStream):
    """Keeps every transcript that nobody has read yet."""

    def _add(self, kind: Kind, text: str, *, end_of_turn: bool = False) -> None:
        self._ready.append(Transcript(text, kind, end_of_turn=end_of_turn))
        self._wake.set()


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


# Streams that live for a whole call.


async def test_partials_that_shrink_are_found() -> None:
    class Shrinking(Keeping):
        def push(self, pcm: bytes) -> None:
            text = "hello there you" if self._samples < STT_RATE_HZ else "hello"
            super().push(pcm)
            self._add("partial", text)

    with pytest.raises(AssertionError, match="shrank"):
        await suite.test_partials_follow_the_speech(scripted(Shrinking))


async def test_partials_about_something_else_are_found() -> None:
    class Elsewhere(ScriptedStream):
        def push(self, pcm: bytes) -> None:
            super().push(pcm)
            self._add("partial", "rain tomorrow")

    with pytest.raises(AssertionError, match="something else"):
        await suite.test_partials_follow_the_speech(scripted(Elsewhere))


async def test_a_partial_that_comes_after_its_final_is_found() -> None:
    class Late(Keeping):
        def end_utterance(self, *, unchanged: bool = False) -> None:
            text = self._text()
            super().end_utterance(unchanged=unchanged)
            self._add("partial", text)

    with pytest.raises(AssertionError, match="utterance before"):
        await suite.test_partials_belong_to_the_utterance_that_is_being_spoken(scripted(Late))


async def test_a_checkpoint_that_ends_the_utterance_is_found() -> None:
    class Ending(Keeping):
        def checkpoint(self) -> None:
            super().checkpoint()
            self.end_utterance()

        def end_utterance(self, *, unchanged: bool = False) -> None:
            text = self._text() if self._utterance % 2 else ""
            self._add("final", text)
            self._utterance += 1

    with pytest.raises(AssertionError):
        await suite.test_an_utterance_goes_on_after_a_checkpoint_in_the_middle_of_speech(scripted(Ending))


async def test_checkpoints_that_become_finals_are_found() -> None:
    class Final(Keeping):
        def checkpoint(self) -> None:
            self._add("final", self._text())

    with pytest.raises(AssertionError, match="final is the first's"):
        await suite.test_checkpoints_that_nothing_waits_for_leave_one_final_an_utterance(scripted(Final))


async def test_a_stream_that_goes_deaf_is_found() -> None:
    class Deaf(Keeping):
        def _text(self) -> str:
            return super()._text() if self._utterance < 2 else ""

    with pytest.raises(AssertionError, match="turn 3"):
        await suite.test_a_stream_lives_through_the_silences_of_a_call(scripted(Deaf))


async def test_discarded_sound_that_is_kept_is_found() -> None:
    class Remembering(ScriptedStream):
        def discard(self) -> None:
            pass

    with pytest.raises(AssertionError, match="had been discarded"):
        await suite.test_sound_that_is_discarded_is_not_heard(scripted(Remembering))


async def test_a_final_of_discarded_sound_is_found() -> None:
    class Answering(ScriptedStream):
        def discard(self) -> None:
            self.end_utterance()

    with pytest.raises(AssertionError, match="had been discarded"):
        await suite.test_sound_that_is_discarded_is_not_heard(scripted(Answering))


async def test_discarding_an_utterance_that_has_ended_is_found() -> None:
    class Forgetful(ScriptedStream):
        def discard(self) -> None:
            super().discard()
            self._ready = deque(replace(transcript, text="") for transcript in self._ready)

    with pytest.raises(AssertionError, match="had ended before"):
        await suite.test_sound_that_is_discarded_is_not_heard(scripted(Forgetful))


async def test_a_turn_whose_end_is_never_told_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Suite, "judges_turns", True)
    monkeypatch.setattr(Suite, "patience_s", 0.2)
    with pytest.raises(TimeoutError):
        await suite.test_the_end_of_a_turn_is_told_in_time_and_asks_for_a_final_all_the_same(
            scripted(Keeping)
        )


async def test_an_end_of_turn_that_is_told_in_silence_is_found() -> None:
    class Restless(Keeping):
        def end_utterance(self, *, unchanged: bool = False) -> None:
            self._add("final", self._text(), end_of_turn=True)
            self._utterance += 1
            self._heard = False

    with pytest.raises(AssertionError):
        await suite.test_the_end_of_a_turn_is_told_in_time_and_asks_for_a_final_all_the_same(
            scripted(Restless)
        )
