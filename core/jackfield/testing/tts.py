"""The conformance suite of voices."""

from __future__ import annotations

import time
from contextlib import aclosing, suppress
from typing import ClassVar

import anyio
import pytest

from jackfield.contracts.tts import TTS, SpeechSettings, Voice
from jackfield.errors import ProviderError
from jackfield.testing.cancellation import (
    CONTROL_S,
    Ready,
    Work,
    assert_computation_stops,
    assert_gives_control_back,
    assert_places_are_free,
)
from jackfield.testing.suite import ODD_TEXTS
from jackfield.testing.tts_pieces import PiecesTests, Speech, assert_same_sound, assert_takes_as_long, read


async def speech_of(tts: TTS, text: str, settings: SpeechSettings | None = None) -> Speech:
    """Read a synthesis to its end; fails when its outputs are not as the contract says."""
    settings = settings or SpeechSettings()
    return await read(tts.synthesize(text, settings), tts.rate_hz(settings.voice))


class TTSSuite(PiecesTests):
    """Subclass it and define the fixture `tts`: a voice ready for use."""

    character_s: ClassVar[tuple[float, float]] = (0.02, 0.2)
    """Least and most seconds of sound that a character of `text` may plausibly take."""

    async def test_text_becomes_sound_of_a_plausible_length(self, tts: TTS) -> None:
        least_s, most_s = (len(self.text) * seconds for seconds in self.character_s)
        speech = await speech_of(tts, self.text, self.settings)
        assert least_s <= speech.duration_s <= most_s, (
            f"{len(speech.pcm)} bytes at {speech.rate_hz} Hz are {speech.duration_s:.2f} s of sound for "
            f"{len(self.text)} characters: the rate is not honest, or the sound is not 16-bit mono."
        )

    async def test_the_sound_is_not_silence(self, tts: TTS) -> None:
        speech = await speech_of(tts, self.text, self.settings)
        assert speech.pcm.count(0) < len(speech.pcm)

    async def test_the_rate_is_a_usual_one_and_stays(self, tts: TTS) -> None:
        before = tts.rate_hz(self.voice)
        await speech_of(tts, self.text, self.settings)
        assert 8_000 <= before <= 48_000
        assert tts.rate_hz(self.voice) == before

    async def test_twice_the_speed_takes_about_half_the_time(self, tts: TTS) -> None:
        usual = await speech_of(tts, self.text, self.settings)
        fast = await speech_of(tts, self.text, SpeechSettings(voice=self.voice, speed=2.0))
        assert 0.3 <= fast.duration_s / usual.duration_s <= 0.8

    @pytest.mark.parametrize("text", ["", " ", "\n\t"], ids=["empty", "space", "white_space"])
    async def test_text_with_nothing_to_say_gives_no_sound(self, tts: TTS, text: str) -> None:
        assert (await speech_of(tts, text, self.settings)).pcm == b""

    @pytest.mark.parametrize("text", [*ODD_TEXTS.values(), "...", "a"], ids=[*ODD_TEXTS, "dots", "letter"])
    async def test_odd_text_is_spoken_or_refused_with_a_provider_error(self, tts: TTS, text: str) -> None:
        with suppress(ProviderError):
            await speech_of(tts, text, self.settings)

    async def test_a_voice_that_it_does_not_know_still_speaks(self, tts: TTS) -> None:
        stranger = Voice(name="no such voice", language="en", gender="female", accent="unheard-of")
        assert (await speech_of(tts, self.text, SpeechSettings(voice=stranger))).pcm

    async def test_marks_are_in_order_and_inside_the_sound(self, tts: TTS) -> None:
        speech = await speech_of(tts, self.text, self.settings)
        times_s = [mark.at_s for mark in speech.marks]
        assert times_s == sorted(times_s)
        assert all(0 <= at_s <= speech.duration_s for at_s in times_s)

    async def test_two_at_once_do_not_mix(self, tts: TTS) -> None:
        texts = (self.text, "Yes.")
        alone = [await speech_of(tts, text, self.settings) for text in texts]
        together: dict[str, Speech] = {}

        async def speak(text: str) -> None:
            together[text] = await speech_of(tts, text, self.settings)

        async with anyio.create_task_group() as tasks:
            for text in texts:
                tasks.start_soon(speak, text)
        for text, expected in zip(texts, alone, strict=True):
            assert_same_sound(together[text], expected, wanted=self.deterministic)
            assert_takes_as_long(together[text], expected)

    async def test_cancelled_halfway_the_caller_has_control_at_once(self, tts: TTS) -> None:
        await assert_gives_control_back(self._synthesis(tts, after_first=True))

    async def test_cancelled_before_the_first_sound_the_caller_has_control_at_once(self, tts: TTS) -> None:
        await assert_gives_control_back(self._synthesis(tts, after_first=False))

    async def test_closed_halfway_nothing_more_is_delivered(self, tts: TTS) -> None:
        took_s = []
        for _ in range(3):
            synthesis = tts.synthesize(self.long_text, self.settings)
            await anext(synthesis)
            begin = time.perf_counter()
            await synthesis.aclose()
            took_s.append(time.perf_counter() - begin)
            with pytest.raises(StopAsyncIteration):
                await anext(synthesis)
        assert min(took_s) <= CONTROL_S

    async def test_a_synthesis_may_be_closed_twice_and_before_it_began(self, tts: TTS) -> None:
        for begun in (False, True):
            synthesis = tts.synthesize(self.text, self.settings)
            if begun:
                await anext(synthesis)
            await synthesis.aclose()
            await synthesis.aclose()

    async def test_the_cancelled_computation_stops(self, tts: TTS) -> None:
        await assert_computation_stops(self._all_places(tts), self.capabilities.cancel_s)

    async def test_cancelled_syntheses_give_their_places_back(self, tts: TTS) -> None:
        async def first_output_s() -> float:
            begin = time.perf_counter()
            async with aclosing(tts.synthesize("Yes.", self.settings)) as synthesis:
                await anext(synthesis)
            return time.perf_counter() - begin

        await assert_places_are_free(self._all_places(tts), self.capabilities.cancel_s, first_output_s)

    def _all_places(self, tts: TTS) -> list[Work]:
        return [self._synthesis(tts, after_first=True)] * (self.capabilities.max_concurrency or 2)

    def _synthesis(self, tts: TTS, *, after_first: bool) -> Work:
        async def synthesise(ready: Ready) -> None:
            if not after_first:
                ready()
            async with aclosing(tts.synthesize(self.long_text, self.settings)) as synthesis:
                async for _output in synthesis:
                    ready()

        return synthesise
