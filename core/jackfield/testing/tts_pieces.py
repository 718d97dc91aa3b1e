"""What the conformance suite of voices asks of those that speak while the text still comes."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import ClassVar, Final

import anyio
import anyio.lowlevel
import pytest

from jackfield.contracts.tts import TTS, IncrementalTTS, SpeechMark, SpeechSettings, TTSOutput, Voice
from jackfield.testing.cancellation import CONTROL_S, Ready, assert_gives_control_back
from jackfield.testing.suite import Suite

_ALIKE: Final = (0.6, 1.6)
"""Least and most that the same text may take, compared with another time."""


@dataclass(frozen=True, slots=True)
class Speech:
    """A whole synthesis."""

    pcm: bytes
    marks: tuple[SpeechMark, ...]
    rate_hz: int

    @property
    def duration_s(self) -> float:
        """Seconds of sound."""
        return len(self.pcm) / 2 / self.rate_hz


async def read(outputs: AsyncGenerator[TTSOutput, None], rate_hz: int) -> Speech:
    """Read a synthesis to its end; fails when its outputs are not as the contract says."""
    pcm, marks = bytearray(), []
    async with aclosing(outputs):
        async for output in outputs:
            if isinstance(output, SpeechMark):
                marks.append(output)
                continue
            assert isinstance(output, bytes), f"This is no output: {type(output).__name__}"
            assert len(output) % 2 == 0, f"A piece of {len(output)} bytes ends in the middle of a sample."
            pcm += output
    return Speech(bytes(pcm), tuple(marks), rate_hz)


def assert_takes_as_long(speech: Speech, expected: Speech) -> None:
    """Fail when the sound of a text is a lot shorter or longer than at another time."""
    least, most = _ALIKE
    assert least <= speech.duration_s / expected.duration_s <= most, (
        f"It took {speech.duration_s:.2f} s of sound instead of {expected.duration_s:.2f} s."
    )


def assert_same_sound(speech: Speech, expected: Speech, *, wanted: bool) -> None:
    """Fail when the sounds differ, if the voice is one whose sounds should not."""
    same = speech.pcm == expected.pcm  # compared here: pytest would look for the differences for minutes
    assert same or not wanted, "The same text did not give the same sound."


class _TextFailed(Exception):
    """What the text raises when its author fails."""


class PiecesTests(Suite):
    """Part of the suite of voices; passes at once for voices that do not declare `streaming`."""

    text: ClassVar[str] = "The quick brown fox jumps over the lazy dog."
    long_text: ClassVar[str] = " ".join(["It was the best of times, it was the worst of times."] * 12)
    """Takes long enough to make that it can be cancelled half-way."""
    voice: ClassVar[Voice] = Voice()
    deterministic: ClassVar[bool] = False
    """Whether the same text always gives the same bytes."""
    patience_s: ClassVar[float] = 30.0
    """Seconds within which sound begins although the text goes on."""

    @property
    def settings(self) -> SpeechSettings:
        """Settings of most tests."""
        return SpeechSettings(voice=self.voice)

    @pytest.mark.parametrize("cut", ["words", "letters", "odd_lengths", "with_empty_ones", "one"])
    async def test_text_in_pieces_is_spoken_whole_however_it_is_cut(self, tts: TTS, cut: str) -> None:
        if self.capabilities.streaming:
            whole = await read(tts.synthesize(self.text, self.settings), tts.rate_hz(self.voice))
            speech = await self._speech(tts, _cut(self.text, cut))
            assert_takes_as_long(speech, whole)
            assert_same_sound(speech, whole, wanted=self.deterministic)

    @pytest.mark.parametrize("pieces", [(), ("",), (" ", "\n")], ids=["none", "empty", "white_space"])
    async def test_pieces_with_nothing_to_say_give_no_sound(self, tts: TTS, pieces: tuple[str, ...]) -> None:
        if self.capabilities.streaming:
            assert (await self._speech(tts, pieces)).pcm == b""

    async def test_sound_begins_before_the_last_piece_was_given(self, tts: TTS) -> None:
        if not self.capabilities.streaming:
            return
        sound_began = anyio.Event()

        async def pieces() -> AsyncIterator[str]:
            for word in self.long_text.split():
                yield f"{word} "
            await sound_began.wait()
            yield "That is all."

        with anyio.move_on_after(self.patience_s):
            async with aclosing(_incremental(tts).stream(pieces(), self.settings)) as synthesis:
                async for output in synthesis:
                    if output and isinstance(output, bytes):
                        sound_began.set()
        assert sound_began.is_set(), (
            f"There was no sound {self.patience_s:g} s after {len(self.long_text)} characters: "
            "it waits for the end of the text."
        )

    async def test_marks_of_pieces_count_from_the_beginning_of_the_whole(self, tts: TTS) -> None:
        if not self.capabilities.streaming:
            return
        whole = await read(tts.synthesize(self.long_text, self.settings), tts.rate_hz(self.voice))
        speech = await self._speech(tts, _cut(self.long_text, "words"))
        times_s = [mark.at_s for mark in speech.marks]
        assert times_s == sorted(times_s)
        assert all(0 <= at_s <= speech.duration_s for at_s in times_s)
        assert bool(times_s) == bool(whole.marks)
        if times_s:
            last = times_s[-1] / speech.duration_s
            assert last == pytest.approx(whole.marks[-1].at_s / whole.duration_s, abs=0.2)

    async def test_an_error_of_the_pieces_reaches_the_listener(self, tts: TTS) -> None:
        if not self.capabilities.streaming:
            return

        async def pieces() -> AsyncIterator[str]:
            for word in self.text.split():
                yield f"{word} "
            raise _TextFailed

        with anyio.fail_after(self.patience_s), pytest.raises(_TextFailed):
            await read(_incremental(tts).stream(pieces(), self.settings), tts.rate_hz(self.voice))

    async def test_closed_halfway_no_more_text_is_taken(self, tts: TTS) -> None:
        if not self.capabilities.streaming:
            return
        taken, took_s = 0, []

        async def pieces() -> AsyncIterator[str]:
            nonlocal taken
            while True:
                await anyio.lowlevel.checkpoint()
                taken += 1
                yield "It was the best of times. "

        for _ in range(3):
            synthesis = _incremental(tts).stream(pieces(), self.settings)
            with anyio.fail_after(self.patience_s):
                await anext(synthesis)
            begin = time.perf_counter()
            await synthesis.aclose()
            took_s.append(time.perf_counter() - begin)
            taken_before = taken
            with pytest.raises(StopAsyncIteration):
                await anext(synthesis)
            await anyio.wait_all_tasks_blocked()
            assert taken == taken_before, "It went on to take text after it was closed."
        assert min(took_s) <= CONTROL_S

    async def test_cancelled_while_it_waits_for_text_the_caller_has_control_at_once(self, tts: TTS) -> None:
        async def listen(ready: Ready) -> None:
            async def pieces() -> AsyncIterator[str]:
                yield self.text
                ready()
                await anyio.sleep_forever()

            await read(_incremental(tts).stream(pieces(), self.settings), tts.rate_hz(self.voice))

        if self.capabilities.streaming:
            await assert_gives_control_back(listen)

    async def test_several_syntheses_after_each_other_are_alike(self, tts: TTS) -> None:
        rate_hz, words = tts.rate_hz(self.voice), _cut(self.text, "words")
        first = await read(tts.synthesize(self.text, self.settings), rate_hz)
        for _ in range(2):
            again = [await read(tts.synthesize(self.text, self.settings), rate_hz)]
            if self.capabilities.streaming:
                again.append(await self._speech(tts, words))
            for speech in again:
                assert_takes_as_long(speech, first)
                assert_same_sound(speech, first, wanted=self.deterministic)

    async def _speech(self, tts: TTS, pieces: Iterable[str]) -> Speech:
        async def given() -> AsyncIterator[str]:
            for piece in pieces:
                await anyio.lowlevel.checkpoint()
                yield piece

        with anyio.fail_after(self.patience_s):
            outputs = _incremental(tts).stream(given(), self.settings)
            return await read(outputs, tts.rate_hz(self.voice))


def _incremental(tts: TTS) -> IncrementalTTS:
    assert isinstance(tts, IncrementalTTS), "It declares `streaming` and has no `stream`."
    return tts


def _cut(text: str, how: str) -> list[str]:
    match how:
        case "words":
            return [f" {word}" if at else word for at, word in enumerate(text.split())]
        case "letters":
            return list(text)
        case "odd_lengths":
            return [text[at : at + 7] for at in range(0, len(text), 7)]
        case "with_empty_ones":
            return ["", *(piece for letter in text for piece in (letter, "")), ""]
        case _:
            return [text]
