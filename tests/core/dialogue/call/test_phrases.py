"""Fixed phrases: spoken once, kept, and replaced by a tone when there is no voice."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.lowlevel
import numpy as np
import pytest

from jackfield.assembly import Built
from jackfield.contracts.extension import Event, ProviderFailed
from jackfield.contracts.tts import TTS, SpeechSettings, TTSOutput, Voice
from jackfield.dialogue.call.phrases import Phrases, error_tone
from jackfield.errors import ProviderRefused
from jackfield.plugin import Capabilities
from jackfield.testing.virtual_clock import VirtualClock

pytestmark = pytest.mark.anyio

RATE_HZ = 16_000
SORRY = "Sorry, something went wrong."
ADA = Voice(name="ada")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


@dataclass
class Speaker:
    """A voice that says a second of ones, after `delay_s`; or fails."""

    delay_s: float = 0.0
    broken: bool = False
    texts: list[str] = field(default_factory=list)

    def rate_hz(self, voice: Voice) -> int:
        return RATE_HZ

    async def synthesize(self, text: str, settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
        self.texts.append(text)
        await anyio.sleep(self.delay_s)
        if self.broken:
            raise ProviderRefused("no")
        yield b"\1\0" * RATE_HZ


def built(tts: TTS, section: str = "tts") -> Built[TTS]:
    return Built(section, "voice", Capabilities(), tts)


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def phrases(events: list[Event]) -> Phrases:
    return Phrases(first_s=5.0, publish=events.append, used=lambda _tts, _seconds: None)


async def test_a_phrase_is_spoken_once(phrases: Phrases) -> None:
    speaker = Speaker()

    first = await phrases.sound(built(speaker), ADA, SORRY, RATE_HZ)
    again = await phrases.sound(built(speaker), ADA, SORRY, RATE_HZ)

    assert first == again == b"\1\0" * RATE_HZ
    assert speaker.texts == [SORRY]


async def test_each_rate_has_its_sound_and_none_is_spoken_for_it(phrases: Phrases) -> None:
    speaker = Speaker()

    for rate_hz in (8_000, 16_000, 24_000, 48_000, 8_000):
        pcm = await phrases.sound(built(speaker), ADA, SORRY, rate_hz)
        assert len(pcm) / 2 / rate_hz == pytest.approx(1.0, abs=0.001)

    assert speaker.texts == [SORRY]


async def test_voices_providers_and_texts_are_told_apart(phrases: Phrases) -> None:
    speaker = Speaker()

    await phrases.sound(built(speaker), ADA, SORRY, RATE_HZ)
    await phrases.sound(built(speaker), Voice(name="bob"), SORRY, RATE_HZ)
    await phrases.sound(built(speaker, "tts.named.other"), ADA, SORRY, RATE_HZ)
    await phrases.sound(built(speaker), ADA, "Hello.", RATE_HZ)

    assert len(speaker.texts) == 4


async def test_two_at_once_have_it_spoken_once(phrases: Phrases) -> None:
    speaker = Speaker(delay_s=1.0)
    found: list[bytes] = []

    async def ask() -> None:
        found.append(await phrases.sound(built(speaker), ADA, SORRY, 8_000))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(ask)

    assert len(found) == 5
    assert len(set(found)) == 1
    assert speaker.texts == [SORRY]


async def test_when_the_first_is_cancelled_another_has_it_spoken(phrases: Phrases) -> None:
    speaker = Speaker(delay_s=1.0)
    found: list[bytes] = []

    async def ask() -> None:
        found.append(await phrases.sound(built(speaker), ADA, SORRY, RATE_HZ))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        with anyio.move_on_after(0.5):
            await phrases.sound(built(speaker), ADA, SORRY, RATE_HZ)  # before the other begins

    assert found == [b"\1\0" * RATE_HZ]
    assert speaker.texts == [SORRY] * 2


async def test_a_broken_voice_gives_a_tone_that_is_not_kept(phrases: Phrases, events: list[Event]) -> None:
    speaker = Speaker(broken=True)

    assert await phrases.sound(built(speaker), ADA, SORRY, RATE_HZ) == error_tone(RATE_HZ)
    assert events == [ProviderFailed("tts", "voice", "ProviderRefused")]

    speaker.broken = False
    assert await phrases.sound(built(speaker), ADA, SORRY, RATE_HZ) == b"\1\0" * RATE_HZ


async def test_those_who_wait_for_a_broken_voice_do_not_try_it_again(phrases: Phrases) -> None:
    speaker = Speaker(delay_s=1000.0)

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(phrases.sound, built(speaker), ADA, SORRY, RATE_HZ)

    assert speaker.texts == [SORRY]
    assert anyio.current_time() == pytest.approx(5.0)


async def test_a_kept_phrase_outlives_its_voice(phrases: Phrases) -> None:
    speaker = Speaker()
    await phrases.prepare(built(speaker), ADA, SORRY, "Hello.")
    speaker.broken = True

    pcm = await phrases.sound(built(speaker), ADA, SORRY, 8_000)

    assert pcm != error_tone(8_000)
    assert speaker.texts == [SORRY, "Hello."]


async def test_preparing_survives_a_broken_voice(phrases: Phrases) -> None:
    speaker = Speaker(broken=True)

    await phrases.prepare(built(speaker), ADA, SORRY, "Hello.")

    assert speaker.texts == [SORRY, "Hello."]


async def test_no_more_is_kept_than_there_is_room_for(events: list[Event]) -> None:
    phrases = Phrases(
        first_s=5.0, publish=events.append, used=lambda _tts, _seconds: None, max_bytes=4 * RATE_HZ
    )  # two seconds
    speaker = Speaker()

    for text in ("one", "two", "one", "three", "one", "two"):
        await phrases.sound(built(speaker), ADA, text, RATE_HZ)

    assert speaker.texts == ["one", "two", "three", "two"]


async def test_what_does_not_fit_is_spoken_each_time(events: list[Event]) -> None:
    phrases = Phrases(first_s=5.0, publish=events.append, used=lambda _tts, _seconds: None, max_bytes=10)
    speaker = Speaker()

    for _ in range(2):
        assert len(await phrases.sound(built(speaker), ADA, SORRY, RATE_HZ)) == 2 * RATE_HZ

    assert speaker.texts == [SORRY] * 2


@pytest.mark.parametrize("text", ["", " ", "..."])
async def test_nothing_to_say_is_silence(phrases: Phrases, text: str) -> None:
    assert await phrases.sound(built(Speaker()), ADA, text, RATE_HZ) == b""


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 48_000])
def test_the_tone_is_short_and_neither_loud_nor_abrupt(rate_hz: int) -> None:
    samples = np.frombuffer(error_tone(rate_hz), "<i2").astype(float)

    assert 0.4 < len(samples) / rate_hz < 0.6
    assert 2_000 < np.abs(samples).max() < 10_000
    assert np.abs(samples[: rate_hz // 500]).max() < 1_000
    assert np.abs(samples[-rate_hz // 500 :]).max() < 100


def test_the_tone_falls() -> None:
    samples = np.frombuffer(error_tone(16_000), "<i2").astype(float)
    spectra = [np.abs(np.fft.rfft(part)) for part in (samples[:3_000], samples[-3_500:])]

    first_hz, second_hz = (np.argmax(found) * 16_000 / (2 * (len(found) - 1)) for found in spectra)

    assert first_hz == pytest.approx(659, abs=8)
    assert second_hz == pytest.approx(494, abs=8)
