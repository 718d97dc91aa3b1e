"""The voice suite fails on voices that break a promise."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import anyio
import pytest

from jackfield.contracts.tts import SpeechMark, SpeechSettings, TTSOutput, Voice
from jackfield.testing import FakeTTS, TTSSuite

pytestmark = pytest.mark.anyio


class Suite(TTSSuite):
    """The suite, called test by test."""

    __test__ = False


suite = Suite()
THREE_SECONDS = bytes(2 * 16_000 * 3)


async def test_pieces_that_end_in_the_middle_of_a_sample_are_found() -> None:
    with pytest.raises(AssertionError, match="middle of a sample"):
        await suite.test_text_becomes_sound_of_a_plausible_length(FakeTTS((b"\0" * 3, b"\0" * 3)))


@pytest.mark.parametrize("seconds", [0.1, 12.0], ids=["too_short", "too_long"])
async def test_a_rate_that_is_not_honest_is_found(seconds: float) -> None:
    pcm = bytes(2 * int(16_000 * seconds))
    with pytest.raises(AssertionError, match="the rate is not honest"):
        await suite.test_text_becomes_sound_of_a_plausible_length(FakeTTS((pcm,)))


async def test_silence_is_found() -> None:
    with pytest.raises(AssertionError):
        await suite.test_the_sound_is_not_silence(FakeTTS((THREE_SECONDS,)))


async def test_sound_for_nothing_is_found() -> None:
    with pytest.raises(AssertionError):
        await suite.test_text_with_nothing_to_say_gives_no_sound(FakeTTS(), " ")


async def test_a_speed_that_is_ignored_is_found() -> None:
    with pytest.raises(AssertionError):
        await suite.test_twice_the_speed_takes_about_half_the_time(FakeTTS())


async def test_marks_beyond_the_sound_are_found() -> None:
    class Marking(FakeTTS):
        async def synthesize(self, text: str, settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
            yield b"\0\0"
            yield SpeechMark("word", "late", at_s=7.0)

    with pytest.raises(AssertionError):
        await suite.test_marks_are_in_order_and_inside_the_sound(Marking())


async def test_a_voice_that_speaks_one_text_at_a_time_into_another_is_found() -> None:
    class Mixing(FakeTTS):
        async def synthesize(self, text: str, settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
            self.texts.append(text)
            await anyio.sleep(0.01)
            yield bytes(2 * len(self.texts[-1]))

    with pytest.raises(AssertionError):
        await suite.test_two_at_once_do_not_mix(Mixing())


async def test_a_voice_that_ignores_cancelling_is_found() -> None:
    class Stubborn(FakeTTS):
        def rate_hz(self, voice: Voice) -> int:
            return 16_000

        async def synthesize(self, text: str, settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
            for _ in range(5):
                yield b"\0\0"
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(0.2)

    with pytest.raises(AssertionError, match="after cancelling"):
        await suite.test_cancelled_halfway_the_caller_has_control_at_once(Stubborn())


async def test_an_error_that_is_not_mapped_is_found() -> None:
    with pytest.raises(KeyError):
        await suite.test_odd_text_is_spoken_or_refused_with_a_provider_error(FakeTTS(error=KeyError), "...")
