"""The voice suite fails on voices that break a promise while the text still comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress

import anyio
import pytest

from jackfield.contracts.tts import SpeechMark, SpeechSettings, TTSOutput
from jackfield.plugin import Capabilities
from jackfield.testing import FakeTTS, TTSSuite
from jackfield_tts_tone import IncrementalToneTTS, ToneOptions

pytestmark = pytest.mark.anyio


class Suite(TTSSuite):
    """The suite, called test by test."""

    __test__ = False
    capabilities = Capabilities(streaming=True)
    deterministic = True
    patience_s = 0.5


suite = Suite()


class Tone(IncrementalToneTTS):
    """Keeps all promises."""

    def __init__(self) -> None:
        super().__init__(ToneOptions(marks=True, rate_hz=8_000))


async def test_text_that_is_spoken_piece_by_piece_without_its_spaces_is_found() -> None:
    class Stripping(Tone):
        async def stream(
            self, pieces: AsyncIterator[str], settings: SpeechSettings
        ) -> AsyncGenerator[TTSOutput, None]:
            async for piece in pieces:
                async for output in self.synthesize(piece, settings):
                    yield output

    with pytest.raises(AssertionError):
        await suite.test_text_in_pieces_is_spoken_whole_however_it_is_cut(Stripping(), "words")


async def test_the_loss_of_what_no_piece_holds_whole_is_found() -> None:
    class Choosy(Tone):
        def stream(
            self, pieces: AsyncIterator[str], settings: SpeechSettings
        ) -> AsyncGenerator[TTSOutput, None]:
            async def long_ones() -> AsyncIterator[str]:
                async for piece in pieces:
                    if len(piece) > 1:
                        yield piece

            return super().stream(long_ones(), settings)

    await suite.test_text_in_pieces_is_spoken_whole_however_it_is_cut(Choosy(), "odd_lengths")
    with pytest.raises(AssertionError, match="instead of"):
        await suite.test_text_in_pieces_is_spoken_whole_however_it_is_cut(Choosy(), "letters")


async def test_sound_for_no_text_is_found() -> None:
    class Clearing(Tone):
        async def stream(
            self, pieces: AsyncIterator[str], settings: SpeechSettings
        ) -> AsyncGenerator[TTSOutput, None]:
            yield bytes(320)
            async for output in super().stream(pieces, settings):
                yield output

    with pytest.raises(AssertionError):
        await suite.test_pieces_with_nothing_to_say_give_no_sound(Clearing(), ())


async def test_a_voice_that_waits_for_the_whole_text_is_found() -> None:
    class Waiting(Tone):
        async def stream(
            self, pieces: AsyncIterator[str], settings: SpeechSettings
        ) -> AsyncGenerator[TTSOutput, None]:
            text = "".join([piece async for piece in pieces])
            async for output in self.synthesize(text, settings):
                yield output

    with pytest.raises(AssertionError, match="waits for the end of the text"):
        await suite.test_sound_begins_before_the_last_piece_was_given(Waiting())


async def test_marks_that_count_from_the_beginning_of_a_piece_are_found() -> None:
    class Forgetting(Tone):
        async def stream(
            self, pieces: AsyncIterator[str], settings: SpeechSettings
        ) -> AsyncGenerator[TTSOutput, None]:
            async for output in super().stream(pieces, settings):
                if isinstance(output, SpeechMark):
                    yield SpeechMark("word", output.value, 0.0)
                else:
                    yield output

    with pytest.raises(AssertionError):
        await suite.test_marks_of_pieces_count_from_the_beginning_of_the_whole(Forgetting())


async def test_an_error_of_the_text_that_is_hidden_is_found() -> None:
    class Hiding(Tone):
        async def stream(
            self, pieces: AsyncIterator[str], settings: SpeechSettings
        ) -> AsyncGenerator[TTSOutput, None]:
            with suppress(Exception):
                async for output in super().stream(pieces, settings):
                    yield output

    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        await suite.test_an_error_of_the_pieces_reaches_the_listener(Hiding())


async def test_text_that_is_taken_after_the_end_is_found() -> None:
    tasks = []

    class Greedy(Tone):
        async def stream(
            self, pieces: AsyncIterator[str], settings: SpeechSettings
        ) -> AsyncGenerator[TTSOutput, None]:
            async def go_on() -> None:
                for _ in range(10):
                    await anext(pieces)

            try:
                yield bytes(320)
            finally:
                tasks.append(asyncio.get_running_loop().create_task(go_on()))

    with pytest.raises(AssertionError, match="went on to take text"):
        await suite.test_closed_halfway_no_more_text_is_taken(Greedy())
    for task in tasks:
        await task


async def test_a_voice_that_is_slow_to_close_is_found() -> None:
    class Slow(Tone):
        async def stream(
            self, pieces: AsyncIterator[str], settings: SpeechSettings
        ) -> AsyncGenerator[TTSOutput, None]:
            try:
                yield bytes(320)
            finally:
                await anyio.sleep(0.2)

    with pytest.raises(AssertionError):
        await suite.test_closed_halfway_no_more_text_is_taken(Slow())


async def test_a_voice_that_cannot_be_cancelled_while_it_waits_for_text_is_found() -> None:
    class Stubborn(Tone):
        def stream(
            self, pieces: AsyncIterator[str], settings: SpeechSettings
        ) -> AsyncGenerator[TTSOutput, None]:
            async def waited_for() -> AsyncIterator[str]:
                yield await anext(pieces)
                with anyio.move_on_after(0.3, shield=True):
                    yield await anext(pieces)

            return super().stream(waited_for(), settings)

    with pytest.raises(AssertionError, match="after cancelling"):
        await suite.test_cancelled_while_it_waits_for_text_the_caller_has_control_at_once(Stubborn())


async def test_a_voice_that_tires_is_found() -> None:
    class Tiring(FakeTTS):
        async def synthesize(self, text: str, settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
            self.texts.append(text)
            yield bytes(32_000 // len(self.texts))

    class Whole(Suite):
        capabilities = Capabilities()

    with pytest.raises(AssertionError, match="instead of"):
        await Whole().test_several_syntheses_after_each_other_are_alike(Tiring())
