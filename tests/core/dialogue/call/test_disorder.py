"""Calls in which everything happens at random: what must hold all the same.

JACKFIELD_DISORDER says how many things are to happen in each test, JACKFIELD_DISORDER_SEED with which seed
to begin. Each seed is a conversation of its own, the same each time.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any, Final

import anyio
import pytest

from jackfield.contracts.call import EndReason, ReplyFinished
from jackfield.testing import VirtualClock
from tests.core.dialogue.call.dice import Dice, RandomLLM, RandomStore, RandomSTT, RandomTTS
from tests.core.dialogue.call.evidence import Evidence
from tests.core.dialogue.call.talk import Exchange, Talk

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(1800)]

EVENTS: Final = int(os.environ.get("JACKFIELD_DISORDER", "300"))
FIRST_SEED: Final = int(os.environ.get("JACKFIELD_DISORDER_SEED", "1"))
EVENTS_A_SEED: Final = 100
LONGEST_S: Final = 70
"""After which anything has come to its end: the longest wait for a provider is 60 s."""


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


async def happen(talk: Talk, evidence: Evidence, dice: Dice, number: int) -> None:
    """Let one thing happen."""
    seconds = dice.random.choice([0.06, 0.2, 0.5, 1.5])
    match dice.random.randrange(12):
        case 0 | 1 | 2 | 3:
            await talk.say(seconds)
        case 4 | 5 | 6:
            await talk.hush(seconds)
        case 7:
            evidence.type(f"typed{number}")
        case 8:
            dice.random.choice([talk.call.begin_speech, talk.call.end_speech])()
        case 9 if dice.random.random() < 0.3:
            evidence.interrupt()
        case 9:
            talk.call.mute(on=dice.random.random() < 0.5)
        case 10:
            await talk.hush(dice.random.uniform(0.3, 6))
        case _ if dice.random.random() < 0.2:
            talk.call.hang_up()


async def calm(talk: Talk, dice: Dice, turns: str, min_words: int) -> None:
    """Let nothing bad happen any more: whatever the call was at, it comes to an end, and answers.

    Where it takes more than one word to interrupt an answer, one word does not.
    """
    dice.kind = True
    talk.call.mute(on=False)
    talk.call.end_speech()
    await talk.hush(LONGEST_S)
    if talk.reason is None:
        assert not talk.leg.playing
        assert not talk.leg.paused
        before = talk.started()
        assert before == len(talk.leg.events(ReplyFinished)), f"item {before} goes on in silence"
        await talk.say(0.5)
        if turns == "explicit":
            talk.call.end_speech()
        elif min_words:
            await talk.hush(0.8)
            await talk.say(0.2)
        await talk.hush(30)
        assert [e.outcome for e in talk.leg.events(ReplyFinished) if e.item > before] == ["ok"]
    dice.kind = False


async def converse(folder: Path, seed: int, turns: str, min_words: int) -> set[EndReason]:
    """Hold calls of one conversation until enough has happened; gives how they ended."""
    dice = Dice(seed)
    llm, tts = RandomLLM(dice), RandomTTS(dice)
    config = {"call": {"min_words": min_words}, "session": {"max_messages": 100_000}}
    exchange = Exchange(folder, llm=llm, stt=RandomSTT(dice), tts=tts, store=RandomStore(dice), config=config)
    reasons: set[EndReason] = set()
    tasks = asyncio.all_tasks()
    left = min(EVENTS, EVENTS_A_SEED)
    while left > 0:
        before = await exchange.stage.stored()
        async with exchange.call(turns=turns) as talk:
            evidence = Evidence(talk, llm, tts)
            while left > 0 and talk.reason is None:
                left -= 1
                await happen(talk, evidence, dice, left)
            await calm(talk, dice, turns, min_words)
            talk.call.hang_up()
            await talk.ended.wait()
            reasons.add(talk.reason or "hung_up")
        evidence.check(before, await exchange.stage.stored())
        for _ in range(3):
            await anyio.wait_all_tasks_blocked()
        assert asyncio.all_tasks() == tasks
    return reasons


@pytest.mark.parametrize("turns", ["auto", "explicit"])
@pytest.mark.parametrize("min_words", [0, 2])
async def test_whatever_happens_what_is_heard_is_fresh_and_stored(
    tmp_path: Path, turns: str, min_words: int
) -> None:
    for seed in range(FIRST_SEED, FIRST_SEED + -(-EVENTS // EVENTS_A_SEED)):
        try:
            assert await converse(tmp_path, seed, turns, min_words) <= {"hung_up", "provider_lost"}
        except BaseException as error:
            again = f"JACKFIELD_DISORDER_SEED={seed} JACKFIELD_DISORDER={min(EVENTS, EVENTS_A_SEED)}"
            error.add_note(f"{again} repeats this, with -k 'disorder and {min_words}-{turns}'")
            raise
