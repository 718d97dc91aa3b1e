"""What the conformance suite of recognisers asks of a stream that lives for a whole call."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from typing import ClassVar, Final, Literal

import anyio
import anyio.lowlevel

from jackfield.contracts.stt import (
    STT,
    STT_RATE_HZ,
    DiscardingSTTStream,
    STTStream,
    Transcript,
    TranscriptionSettings,
)
from jackfield.testing.suite import Suite

FRAME_BYTES: Final = STT_RATE_HZ // 50 * 2
SECOND_OF_SILENCE: Final = bytes(2 * STT_RATE_HZ)
_LATE_S: Final = 0.5
"""Seconds by which times may be wrong."""


def frames(pcm: bytes, frame_bytes: int = FRAME_BYTES) -> Iterable[bytes]:
    """Cut sound into frames, of 20 ms unless told otherwise."""
    return (pcm[at : at + frame_bytes] for at in range(0, len(pcm), frame_bytes))


async def next_of(
    transcripts: AsyncIterator[Transcript], kind: Literal["partial", "tentative", "final"]
) -> Transcript:
    """Read transcripts until one of that kind; fails when the stream ends before."""
    async for transcript in transcripts:
        if transcript.kind == kind:
            return transcript
    raise AssertionError(f"The stream ended without a {kind} transcript.")


async def until_final(transcripts: AsyncIterator[Transcript]) -> list[Transcript]:
    """Read transcripts until a final one, that included."""
    found = []
    async for transcript in transcripts:
        found.append(transcript)
        if transcript.kind == "final":
            return found
    raise AssertionError("The stream ended without a final transcript.")


class StreamTests(Suite):
    """Part of the suite of recognisers."""

    speech: ClassVar[bytes]
    """An utterance of two seconds or more. PCM, signed 16-bit little-endian, mono, 16000 Hz."""
    expected_words: ClassVar[tuple[str, ...]]
    """Words that its transcript contains, in lower case."""
    judges_turns: ClassVar[bool] = False
    """Whether it says by itself, with `end_of_turn`, that the speaker has finished after `speech`."""
    patience_s: ClassVar[float] = 60.0
    """Seconds within which a transcript comes."""

    async def test_partials_follow_the_speech(self, stt: STT) -> None:
        if not self.capabilities.streaming:
            return  # it does not declare streaming
        async with stt.stream(TranscriptionSettings()) as stream:
            transcripts = aiter(stream)
            with anyio.fail_after(self.patience_s):
                half = len(self.speech) // 4 * 2
                await self._push(stream, self.speech[:half])
                first = await next_of(transcripts, "partial")
                await self._say(stream, self.speech[half:])
                *others, final = await until_final(transcripts)
        partials = [first, *(other for other in others if other.kind == "partial")]
        sizes = [len(_words(partial.text)) for partial in partials]
        assert sizes[0] <= sizes[-1], f"They shrank while speech went on: {sizes} words."
        assert set(_words(partials[-1].text)) & set(_words(final.text)), "They were about something else."
        pushed_s = len(self.speech) / 2 / STT_RATE_HZ
        assert all(partial.start_s <= partial.end_s <= pushed_s + _LATE_S for partial in partials)

    async def test_partials_belong_to_the_utterance_that_is_being_spoken(self, stt: STT) -> None:
        async with stt.stream(TranscriptionSettings()) as stream:
            transcripts = aiter(stream)
            with anyio.fail_after(self.patience_s):
                await self._say(stream, self.speech)
                spoken = await until_final(transcripts)
                await self._say(stream, SECOND_OF_SILENCE)
                silent = await until_final(transcripts)
        assert self._heard(spoken[-1].text)
        late = [transcript.kind for transcript in silent if transcript.text.strip()]
        assert not late, f"In silence there were words of the utterance before: {late}."

    async def test_an_utterance_goes_on_after_a_checkpoint_in_the_middle_of_speech(self, stt: STT) -> None:
        half = len(self.speech) // 4 * 2
        async with stt.stream(TranscriptionSettings()) as stream:
            transcripts = aiter(stream)
            with anyio.fail_after(self.patience_s):
                stream.push(self.speech[:half])
                stream.checkpoint()
                await next_of(transcripts, "tentative")
                await self._say(stream, self.speech[half:])
                assert self._heard((await next_of(transcripts, "final")).text)

    async def test_checkpoints_that_nothing_waits_for_leave_one_final_an_utterance(self, stt: STT) -> None:
        kinds = []
        async with stt.stream(TranscriptionSettings()) as stream:
            transcripts = aiter(stream)
            with anyio.fail_after(self.patience_s):
                for pcm in (self.speech, SECOND_OF_SILENCE):
                    for part in frames(pcm, len(pcm) // 8 * 2):
                        stream.push(part)
                        stream.checkpoint()
                    stream.end_utterance()
                first, second = await until_final(transcripts), await until_final(transcripts)
                kinds = [transcript.kind for transcript in (*first, *second)]
        assert self._heard(first[-1].text)
        assert second[-1].text.strip() == "", "The second utterance was silent; this final is the first's."
        assert kinds.count("final") == 2

    async def test_a_stream_lives_through_the_silences_of_a_call(self, stt: STT) -> None:
        async with stt.stream(TranscriptionSettings()) as stream:
            transcripts = aiter(stream)
            with anyio.fail_after(self.patience_s):
                for turn in range(3):
                    await self._push(stream, SECOND_OF_SILENCE * turn)
                    await self._push(stream, self.speech)
                    stream.checkpoint()
                    await self._say(stream, SECOND_OF_SILENCE, unchanged=True)
                    final = await next_of(transcripts, "final")
                    assert self._heard(final.text), f"In turn {turn + 1} of the call it no longer heard it."

    async def test_sound_that_is_discarded_is_not_heard(self, stt: STT) -> None:
        async with stt.stream(TranscriptionSettings()) as stream:
            if not isinstance(stream, DiscardingSTTStream):
                return  # it cannot forget
            transcripts = aiter(stream)
            with anyio.fail_after(self.patience_s):
                await self._say(stream, self.speech)
                await self._push(stream, self.speech)
                stream.checkpoint()
                stream.discard()
                await self._say(stream, SECOND_OF_SILENCE)
                ended, silent = await until_final(transcripts), await until_final(transcripts)
                stream.discard()
                await self._say(stream, self.speech)
                spoken = await next_of(transcripts, "final")
        assert self._heard(ended[-1].text), "An utterance had ended before the sound that was discarded."
        kinds = [transcript.kind for transcript in silent if transcript.text.strip()]
        assert not kinds, f"There were words of sound that had been discarded: {kinds}."
        assert self._heard(spoken.text), "It went deaf when there was nothing to discard."

    async def test_the_end_of_a_turn_is_told_in_time_and_asks_for_a_final_all_the_same(
        self, stt: STT
    ) -> None:
        async with stt.stream(TranscriptionSettings()) as stream:
            transcripts = aiter(stream)
            with anyio.fail_after(self.patience_s):
                await self._push(stream, self.speech + SECOND_OF_SILENCE * 2)
                while self.judges_turns and not (told := await anext(transcripts)).end_of_turn:
                    assert told.kind != "final", "A final came that nobody had asked for."
                stream.end_utterance()
                assert self._heard((await next_of(transcripts, "final")).text)
                await self._say(stream, SECOND_OF_SILENCE)
                silent = await until_final(transcripts)
        assert [transcript for transcript in silent if transcript.end_of_turn] == []
        assert silent[-1].text.strip() == ""

    async def _push(self, stream: STTStream, pcm: bytes) -> None:
        for frame in frames(pcm):
            stream.push(frame)
            await anyio.lowlevel.checkpoint()

    async def _say(self, stream: STTStream, pcm: bytes, *, unchanged: bool = False) -> None:
        await self._push(stream, pcm)
        stream.end_utterance(unchanged=unchanged)

    def _heard(self, text: str) -> bool:
        words = _words(text)
        return all(word in words for word in self.expected_words)


def _words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())
