"""The conformance suite of speech recognisers."""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import anyio
import pytest

from jackfield.contracts.stt import STT, STT_RATE_HZ, STTStream, Transcript, TranscriptionSettings
from jackfield.errors import ProviderError
from jackfield.testing.cancellation import (
    CONTROL_S,
    Ready,
    Work,
    assert_computation_stops,
    assert_gives_control_back,
    assert_places_are_free,
)
from jackfield.testing.stt_stream import FRAME_BYTES, StreamTests, frames, next_of

__all__ = ["STTSuite", "frames", "next_of", "say", "transcribe"]

_PATIENCE_S: Final = 60.0


async def transcribe(stt: STT, chunks: Iterable[bytes]) -> Transcript:
    """Recognise one utterance in a stream of its own."""
    async with stt.stream(TranscriptionSettings()) as stream:
        transcripts = aiter(stream)
        for chunk in chunks:
            stream.push(chunk)
        stream.end_utterance()
        with anyio.fail_after(_PATIENCE_S):
            return await next_of(transcripts, "final")


def say(stream: STTStream, pcm: bytes) -> None:
    """Push a whole utterance."""
    stream.push(pcm)
    stream.end_utterance()


class STTSuite(StreamTests):
    """Subclass it, set `speech` and `expected_words`, and define the fixture `stt`."""

    async def test_an_utterance_is_answered_by_exactly_one_final(self, stt: STT) -> None:
        finals = []
        async with stt.stream(TranscriptionSettings()) as stream:
            say(stream, self.speech)
            say(stream, b"")
            with anyio.fail_after(_PATIENCE_S):
                async for transcript in stream:
                    if transcript.kind == "final":
                        finals.append(transcript.text)
                    if len(finals) == 2:
                        break
        assert self._heard(finals[0])
        assert finals[1] == "", "The second utterance was empty; this final belongs to the first."

    async def test_the_words_are_heard(self, stt: STT) -> None:
        assert self._heard((await transcribe(stt, [self.speech])).text)

    async def test_pushing_frames_hears_the_same_as_pushing_all_at_once(self, stt: STT) -> None:
        whole = await transcribe(stt, [self.speech])
        assert (await transcribe(stt, frames(self.speech))).text == whole.text

    async def test_pushing_single_samples_hears_the_same_as_pushing_all_at_once(self, stt: STT) -> None:
        whole = await transcribe(stt, [self.speech])
        assert (await transcribe(stt, frames(self.speech, 2))).text == whole.text

    async def test_a_stream_serves_one_utterance_after_the_other(self, stt: STT) -> None:
        async with stt.stream(TranscriptionSettings()) as stream:
            transcripts = aiter(stream)
            with anyio.fail_after(_PATIENCE_S):
                say(stream, bytes(STT_RATE_HZ))
                assert (await next_of(transcripts, "final")).text == ""
                for _ in range(2):
                    say(stream, self.speech)
                    assert (await next_of(transcripts, "final")).text.strip()

    async def test_a_checkpoint_gives_a_tentative_transcript_and_pushing_goes_on(self, stt: STT) -> None:
        async with stt.stream(TranscriptionSettings()) as stream:
            transcripts = aiter(stream)
            with anyio.fail_after(_PATIENCE_S):
                stream.push(self.speech)
                stream.checkpoint()
                assert self._heard((await next_of(transcripts, "tentative")).text)
                stream.push(bytes(FRAME_BYTES))
                stream.end_utterance()
                assert self._heard((await next_of(transcripts, "final")).text)

    async def test_an_utterance_that_ends_unchanged_after_its_checkpoint_has_one_final(
        self, stt: STT
    ) -> None:
        async with stt.stream(TranscriptionSettings()) as stream:
            transcripts = aiter(stream)
            with anyio.fail_after(_PATIENCE_S):
                for _ in range(2):
                    stream.push(self.speech)
                    stream.checkpoint()
                    stream.push(bytes(FRAME_BYTES))
                    stream.end_utterance(unchanged=True)
                    assert self._heard((await next_of(transcripts, "final")).text)

    @pytest.mark.parametrize("seconds", [0, 1], ids=["nothing", "silence"])
    async def test_without_speech_the_final_is_empty(self, stt: STT, seconds: int) -> None:
        assert (await transcribe(stt, [bytes(seconds * STT_RATE_HZ * 2)])).text.strip() == ""

    @pytest.mark.parametrize("sound", ["one_sample", "noise", "long_silence"])
    async def test_odd_sound_is_answered_or_refused_with_a_provider_error(self, stt: STT, sound: str) -> None:
        pcm = {
            "one_sample": b"\x01\x00",
            "noise": array("h", (at * at * 7919 % 65_536 - 32_768 for at in range(STT_RATE_HZ))).tobytes(),
            "long_silence": bytes(30 * STT_RATE_HZ * 2),
        }[sound]
        with suppress(ProviderError):
            assert (await transcribe(stt, [pcm])).kind == "final"

    async def test_two_streams_at_once_do_not_mix(self, stt: STT) -> None:
        heard: dict[str, str] = {}

        async def listen(name: str, pcm: bytes) -> None:
            heard[name] = (await transcribe(stt, frames(pcm))).text

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen, "speech", self.speech)
            tasks.start_soon(listen, "silence", bytes(len(self.speech)))
        assert self._heard(heard["speech"])
        assert heard["silence"].strip() == ""

    async def test_times_and_confidence_are_plausible(self, stt: STT) -> None:
        transcript = await transcribe(stt, [self.speech])
        assert 0 <= transcript.start_s <= transcript.end_s <= len(self.speech) / 2 / STT_RATE_HZ + 0.5
        assert transcript.confidence is None or 0 <= transcript.confidence <= 1

    async def test_partials_come_before_the_utterance_ends_when_declared(self, stt: STT) -> None:
        if not self.capabilities.streaming:
            return  # it does not declare streaming
        async with stt.stream(TranscriptionSettings()) as stream:
            transcripts = aiter(stream)
            with anyio.fail_after(_PATIENCE_S):
                for frame in frames(self.speech):
                    stream.push(frame)
                assert (await next_of(transcripts, "partial")).text.strip()

    async def test_pushing_does_not_block(self, stt: STT) -> None:
        async with stt.stream(TranscriptionSettings()) as stream:
            took_s = []
            for frame in frames(self.speech):
                begin = time.perf_counter()
                stream.push(frame)
                took_s.append(time.perf_counter() - begin)
        assert sorted(took_s)[len(took_s) // 2] < 0.001

    async def test_cancelled_while_recognising_the_caller_has_control_at_once(self, stt: STT) -> None:
        await assert_gives_control_back(self._recognition(stt))

    async def test_the_cancelled_computation_stops(self, stt: STT) -> None:
        places = self.capabilities.max_concurrency or 2
        await assert_computation_stops([self._recognition(stt)] * places, self.capabilities.cancel_s)

    async def test_cancelled_recognitions_give_their_places_back(self, stt: STT) -> None:
        async def final_s() -> float:
            begin = time.perf_counter()
            await transcribe(stt, [self.speech])
            return time.perf_counter() - begin

        works = [self._recognition(stt)] * (self.capabilities.max_concurrency or 2)
        await assert_places_are_free(works, self.capabilities.cancel_s, final_s)

    async def test_leaving_does_not_wait_for_what_was_not_read(self, stt: STT) -> None:
        took_s = []
        for _ in range(3):
            async with stt.stream(TranscriptionSettings()) as stream:
                say(stream, self.speech)
                begin = time.perf_counter()
            took_s.append(time.perf_counter() - begin)
        assert min(took_s) <= CONTROL_S

    async def test_a_stream_may_be_closed_twice_and_unused(self, stt: STT) -> None:
        stream = stt.stream(TranscriptionSettings())
        async with stream:
            pass
        await stream.__aexit__(None, None, None)

    def _recognition(self, stt: STT) -> Work:
        async def recognise(ready: Ready) -> None:
            async with stt.stream(TranscriptionSettings()) as stream:
                say(stream, self.speech)
                ready()
                async for _transcript in stream:
                    pass

        return recognise
