"""Providers that fail, hang or talk nonsense during a call: the caller hears of it, and the call goes on."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import anyio
import pytest

from tests.transports.switchboard import Phone
from tests.transports.trouble import (
    APOLOGY,
    SECRET,
    SILENCE,
    SPEECH,
    Exchange,
    Mood,
    Moody,
    exchange,
    hear,
    speak,
)

pytestmark = pytest.mark.anyio

APOLOGY_S = len(APOLOGY) * 0.01
TONE_S = 0.3
"""The error tone is longer than that."""


@pytest.fixture
async def lines() -> AsyncIterator[Exchange]:
    async with exchange() as lines:
        yield lines


@pytest.fixture
async def phone(lines: Exchange) -> AsyncIterator[Phone]:
    async with lines.phone() as phone:
        await phone.start(turns="explicit")
        yield phone


async def ask(phone: Phone) -> None:
    await speak(phone)
    await phone.say("speech.end")


async def goes_on(phone: Phone, *parts: Moody) -> None:
    """The next question is answered once the providers are well again."""
    for part in parts:
        part.mood = "well"
    await ask(phone)
    answer = await hear(phone)
    assert (answer.outcome, answer.text, answer.errors) == ("ok", "You said: will it rain", [])


@pytest.mark.parametrize(
    ("mood", "code"),
    [
        ("fails", "stt_failed"),
        ("breaks", "stt_failed"),
        ("hangs", "stt_timeout"),
        ("garbage", "stt_failed"),
    ],
)
async def test_a_recogniser_in_trouble_is_apologised_for(
    lines: Exchange, phone: Phone, mood: Mood, code: str
) -> None:
    lines.parts.stt.mood = mood
    await ask(phone)
    answer = await hear(phone)

    assert (answer.errors, answer.outcome, answer.text) == ([code], "failed", "")
    assert answer.sound_s == pytest.approx(APOLOGY_S)
    await goes_on(phone, lines.parts.stt)


async def test_a_recogniser_that_stays_in_trouble_ends_the_call_after_an_apology(
    lines: Exchange, phone: Phone
) -> None:
    lines.parts.stt.mood = "breaks"
    for _ in range(2):
        await ask(phone)
        await hear(phone)
    await ask(phone)
    last = await hear(phone, "ended")

    assert last.sound_s == pytest.approx(APOLOGY_S)
    assert last.messages[-1]["reason"] == "provider_lost"
    assert await phone.closed() == 1011


@pytest.mark.parametrize(
    ("mood", "code", "shown"),
    [
        ("fails", "llm_failed", ""),
        ("breaks", "llm_failed", ""),
        ("hangs", "llm_timeout", ""),
        ("garbage", "llm_failed", ""),
        ("slow", "llm_timeout", "You said: "),
    ],
)
async def test_a_model_in_trouble_is_apologised_for(
    lines: Exchange, phone: Phone, mood: Mood, code: str, shown: str
) -> None:
    lines.parts.llm.mood = mood
    await ask(phone)
    answer = await hear(phone)

    assert (answer.errors, answer.outcome, answer.text) == ([code], "failed", shown)
    assert answer.sound_s >= APOLOGY_S - 0.001
    await goes_on(phone, lines.parts.llm)


@pytest.mark.parametrize(
    ("mood", "code"),
    [
        ("fails", "tts_failed"),
        ("breaks", "tts_failed"),
        ("hangs", "tts_timeout"),
        ("garbage", "tts_failed"),
    ],
)
async def test_a_voice_in_trouble_is_apologised_for_and_the_words_are_shown(
    lines: Exchange, phone: Phone, mood: Mood, code: str
) -> None:
    await goes_on(phone)
    lines.parts.tts.mood = mood
    await ask(phone)
    answer = await hear(phone)

    assert (answer.errors, answer.outcome) == ([code], "failed")
    assert answer.text == "You said: will it rain"
    assert answer.sound_s == pytest.approx(APOLOGY_S)
    await goes_on(phone, lines.parts.tts)


@pytest.mark.parametrize("mood", ["fails", "breaks", "hangs", "garbage"])
async def test_a_voice_that_never_worked_is_apologised_for_by_a_tone(mood: Mood) -> None:
    async with exchange() as lines:
        lines.parts.tts.mood, lines.parts.tts.apologises = mood, False
        async with lines.phone() as phone:
            await phone.start(turns="explicit")
            await ask(phone)
            answer = await hear(phone)

            assert (len(answer.errors), answer.outcome) == (1, "failed")
            assert answer.sound_s > TONE_S
            await goes_on(phone, lines.parts.tts)


@pytest.mark.parametrize("mood", ["fails", "breaks", "garbage"])
async def test_a_detector_that_stays_in_trouble_ends_the_call_after_an_apology(
    lines: Exchange, mood: Mood
) -> None:
    lines.parts.vad.mood = mood
    async with lines.phone() as phone:
        await phone.start()
        await speak(phone, 4)
        last = await hear(phone, "ended")

        assert last.errors == ["vad_failed"]
        assert last.sound_s == pytest.approx(APOLOGY_S)
        assert last.messages[-1]["reason"] == "provider_lost"
        assert await phone.closed() == 1011


async def test_a_detector_that_was_in_trouble_for_a_moment_costs_no_call(lines: Exchange) -> None:
    lines.parts.vad.mood = "breaks"
    async with lines.phone() as phone:
        await phone.start()
        await phone.connection.send(SILENCE * 10)
        assert (await phone.hear("error"))["code"] == "vad_failed"
        lines.parts.vad.mood = "well"
        await phone.connection.send(SPEECH * 15)
        await phone.connection.send(SILENCE * 25)
        answer = await hear(phone)

    assert (answer.outcome, answer.text) == ("ok", "You said: will it rain")


@pytest.mark.parametrize("part", ["llm", "stt", "tts"])
async def test_whatever_a_provider_said_in_its_trouble_is_kept_from_the_caller_and_the_log(
    lines: Exchange, phone: Phone, part: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "jackfield")
    getattr(lines.parts, part).mood = "fails"
    await ask(phone)
    answer = await hear(phone)

    assert answer.errors
    assert SECRET not in str(answer.messages)
    assert "will it rain" not in caplog.text


async def test_a_caller_in_trouble_does_not_disturb_another(lines: Exchange, phone: Phone) -> None:
    lines.parts.stt.mood = "hangs"
    await ask(phone)
    with anyio.fail_after(2):
        await lines.parts.stt.entered.wait()
    lines.parts.stt.mood = "well"
    async with lines.phone() as other:
        await other.start(turns="explicit")
        await goes_on(other)
    answer = await hear(phone)

    assert answer.errors == ["stt_timeout"]
