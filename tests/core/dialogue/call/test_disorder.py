"""Calls in which everything happens at random: what must hold all the same."""

from __future__ import annotations

import asyncio
import os
import random
import struct
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest

from jackfield.contracts.call import EndReason, ReplyFinished, ReplyText
from jackfield.contracts.llm import Finish, GenerationRequest, LLMOutput
from jackfield.contracts.stt import Transcript, TranscriptionSettings, WholeUtteranceSTT
from jackfield.contracts.tts import SpeechSettings, TTSOutput, Voice
from jackfield.errors import ProviderBadReply, ProviderUnavailable
from jackfield.testing import VirtualClock
from tests.core.dialogue.call.talk import Exchange, Talk

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

EVENTS = int(os.environ.get("JACKFIELD_DISORDER", "300"))
"""Things that happen in each of the tests. Whoever changes the engine may want 10,000."""
RATE_HZ = 24_000
LETTER_SAMPLES = RATE_HZ * 60 // 1000


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


class Chance:
    """Dice, and whether they may fall badly."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.kind = False

    def delay_s(self, most_s: float) -> float:
        return 0.01 if self.kind else self.random.choice([0, 0.01, self.random.uniform(0, most_s)])

    def misfortune(self, probability: float) -> bool:
        return not self.kind and self.random.random() < probability

    async def suffer(self) -> None:
        """Fail, hang, or do neither."""
        if self.misfortune(0.03):
            raise self.random.choice([ProviderUnavailable("x"), ProviderBadReply("x"), RuntimeError("x")])
        if self.misfortune(0.03):
            await anyio.sleep_forever()


class RandomLLM:
    """Says its own number in every word."""

    def __init__(self, chance: Chance) -> None:
        self.chance = chance
        self.generations = 0

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        self.generations += 1
        mine = self.generations
        for number in range(self.chance.random.randint(1, 30)):
            await anyio.sleep(self.chance.delay_s(0.4))
            await self.chance.suffer()
            yield f"{mine}{self.chance.random.choice([' ', ', ', '. '])}" if number else f"{mine} "
        yield Finish("stop")


class RandomSTT(WholeUtteranceSTT):
    """Hears something, or nothing."""

    def __init__(self, chance: Chance) -> None:
        self.chance = chance

    async def recognize(self, pcm: bytes, settings: TranscriptionSettings) -> Transcript:
        await anyio.sleep(self.chance.delay_s(1.5))
        await self.chance.suffer()
        text = self.chance.random.choice(["", "one", "one two", "one two three"])
        return Transcript("hello you there" if self.chance.kind else text, "final")


class RandomTTS:
    """Puts the number that it reads into every sample; 0 where there is none."""

    def __init__(self, chance: Chance) -> None:
        self.chance = chance

    def rate_hz(self, voice: Voice) -> int:
        return RATE_HZ

    async def synthesize(self, text: str, settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
        first = text.split(maxsplit=1)[0].strip(",. ")
        sample = struct.pack("<h", int(first) if first.isdigit() else 0)
        for _ in text:
            await anyio.sleep(self.chance.delay_s(0.1))
            await self.chance.suffer()
            yield sample * LETTER_SAMPLES


async def happen(talk: Talk, chance: Chance) -> None:
    """Let one thing happen."""
    dice = chance.random
    seconds = dice.choice([0.06, 0.2, 0.5, 1.5])
    match dice.randrange(12):
        case 0 | 1 | 2 | 3:
            await talk.say(seconds)
        case 4 | 5 | 6:
            await talk.hush(seconds)
        case 7:
            talk.call.text("typed")
        case 8:
            dice.choice([talk.call.begin_speech, talk.call.end_speech])()
        case 9:
            talk.call.interrupt() if dice.random() < 0.3 else talk.call.mute(on=dice.random() < 0.5)
        case 10:
            await talk.hush(dice.uniform(0.3, 6))
        case _ if dice.random() < 0.2:
            talk.call.hang_up()


async def calm(talk: Talk, chance: Chance, turns: str) -> None:
    """Let nothing bad happen any more: whatever the call was at, it comes to an end, and answers."""
    chance.kind = True
    talk.call.mute(on=False)
    talk.call.end_speech()
    await talk.hush(40)
    if talk.reason is None:
        assert not talk.leg.playing
        assert not talk.leg.paused
        before = talk.started()
        if turns == "explicit":
            talk.call.begin_speech()  # a recogniser may have failed during the silence, and lost it
        await talk.say(0.5)
        if turns == "explicit":
            talk.call.end_speech()
        await talk.hush(30)
        assert [e.outcome for e in talk.leg.events(ReplyFinished) if e.item > before] == ["ok"]
    chance.kind = False


def check(talk: Talk) -> list[str]:
    """Hold what was heard against what was told; gives the answers that must have been stored."""
    finished = {event.item: event for event in talk.leg.events(ReplyFinished)}
    ends_s = {event.item: at_s for at_s, event in talk.leg.told if isinstance(event, ReplyFinished)}
    assert list(finished) == sorted(finished)
    assert len(finished) == len(talk.leg.events(ReplyFinished)) == talk.started_items()
    for heard in talk.leg.heard:
        samples = set(struct.unpack(f"<{len(heard.pcm) // 2}h", heard.pcm))
        shown = talk.leg.shown(heard.item).split()
        assert samples <= {0, int(shown[0].strip(",. ")) if shown else 0} | apologies(samples)
        assert heard.at_s + len(heard.pcm) / 2 / RATE_HZ <= ends_s[heard.item] + 0.001
    for at_s, event in talk.leg.told:
        if isinstance(event, ReplyText):
            assert at_s <= ends_s[event.item]
    for event in finished.values():
        assert talk.leg.shown(event.item).strip().startswith(event.text)
        if event.outcome == "interrupted":
            letters = len(talk.leg.heard_pcm(event.item)) / 2 / LETTER_SAMPLES
            assert len(event.text) <= letters * 1.2 + 3
    return [event.text for event in finished.values() if event.text]


def apologies(samples: set[int]) -> set[int]:
    """Samples of the tone that stands for an apology, which has many values."""
    return samples if len(samples) > 10 else set()


@pytest.mark.parametrize("turns", ["auto", "explicit"])
@pytest.mark.parametrize("min_words", [0, 2])
async def test_whatever_happens_what_is_heard_is_fresh_and_stored(
    tmp_path: Path, turns: str, min_words: int
) -> None:
    chance = Chance(seed=min_words)
    exchange = Exchange(
        tmp_path,
        llm=RandomLLM(chance),
        stt=RandomSTT(chance),
        tts=RandomTTS(chance),
        config={"call": {"min_words": min_words}, "session": {"max_messages": 100_000}},
    )
    reasons: set[EndReason] = set()
    tasks = asyncio.all_tasks()
    left = EVENTS
    while left > 0:
        async with exchange.call(turns=turns) as talk:
            for _ in range(100):
                if talk.reason is not None:
                    break
                left -= 1
                await happen(talk, chance)
            await calm(talk, chance, turns)
            talk.call.hang_up()
            await talk.ended.wait()
            reasons.add(talk.reason or "hung_up")
        answers = check(talk)
        stored = [text for is_user, text in await exchange.stage.stored() if not is_user]
        assert not answers or stored[-len(answers) :] == answers
        for _ in range(3):
            await anyio.wait_all_tasks_blocked()
        assert asyncio.all_tasks() == tasks

    assert "idle" not in reasons
