"""Turns and calls in which providers fail at random: nothing is stuck, mixed up or left behind.

JACKFIELD_OUTAGES says how many turns there are to be, JACKFIELD_OUTAGES_SEED what decides about them.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, get_args

import anyio
import pytest

from jackfield.contracts.auth import UserId
from jackfield.contracts.call import ReplyFinished
from jackfield.contracts.extension import TurnFinished, TurnStarted
from jackfield.contracts.llm import GenerationRequest, LLMOutput
from jackfield.contracts.turn import ConversationRef
from jackfield.errors import ProtocolError
from jackfield.testing import VirtualClock
from jackfield_extension_chaos.dice import Dice
from jackfield_extension_chaos.options import ChaosOptions, Trouble
from jackfield_extension_chaos.providers import Chaos, ChaosLLM, ChaosSTT, ChaosTTS, disturbed
from jackfield_llm_echo import EchoLLM, EchoOptions
from jackfield_stt_scripted import ScriptedOptions, ScriptedSTT
from jackfield_tts_tone import ToneOptions, ToneTTS
from tests.core.dialogue.call.talk import LETTER_S, Exchange, Talk
from tests.core.dialogue.stage import Stage, request
from tests.core.resilience.chained import Witness

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(1800)]

TURNS: Final = int(os.environ.get("JACKFIELD_OUTAGES", "1000"))
SEED: Final = int(os.environ.get("JACKFIELD_OUTAGES_SEED", "1"))
TURNS_A_CALL: Final = 4
CALLS: Final = TURNS // 20
LONGEST_S: Final = 130.0
"""After which every turn has come to its end: all waiting for a model together is at most 60 s."""


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


def rules(dice: random.Random, probability: float = 0.08) -> Iterator[dict[str, object]]:
    """Every kind of trouble, at random places of a request."""
    for do in get_args(Trouble):
        for connecting in (False, True):
            yield {
                "section": "*",
                "do": do,
                "probability": probability / 2,
                "after_outputs": dice.choice([0, 0, 1, 2, 5]),
                "delay_s": dice.choice([0.0, 0.01, 0.5, 4.0, 10.0]),
                "retry_after_s": dice.choice([None, 0.5, 5.0, 100.0]),
                "connecting": connecting,
            }


def shaken(kind: type[Chaos[Any]], inner: Any, seed: str) -> Any:
    options = {"rules": list(rules(random.Random(seed))), "seed": 1}
    return disturbed(kind, inner, Dice(ChaosOptions.model_validate(options), seed))


@dataclass
class Counted:
    """A model that knows how many of its generations are open."""

    inner: Any
    open: int = 0

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        self.open += 1
        try:
            async with aclosing(self.inner.generate(request)) as outputs:
                async for output in outputs:
                    yield output
        finally:
            self.open -= 1


@dataclass
class Outcomes:
    """How turns went."""

    answered: int = 0
    failed: int = 0
    left: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def all(self) -> int:
        return self.answered + self.failed + self.left


def models(seed: str) -> list[Counted]:
    made = [EchoLLM(EchoOptions(prefix=f"model{number} ", delay_s=0.05)) for number in range(3)]
    return [Counted(shaken(ChaosLLM, model, f"{seed} llm {at}")) for at, model in enumerate(made)]


def timers() -> int:
    scheduled: list[asyncio.TimerHandle] = vars(asyncio.get_running_loop())["_scheduled"]
    return sum(not handle.cancelled() for handle in scheduled)


async def converse(stage: Stage, dice: random.Random, number: int, outcomes: Outcomes) -> None:
    """Send a message; some users do not wait for the answer."""
    said = f"one two three four turn{number}"
    conversation = ConversationRef("", UserId("claimed:", f"user{number}"), "session")
    patience_s = dice.choice([1000.0, 1000.0, 1000.0, dice.uniform(0, 20)])
    pieces: list[str] = []
    began_s = anyio.current_time()
    with anyio.move_on_after(patience_s) as scope:
        try:
            async with aclosing(stage.assistant.reply(request(said, conversation=conversation))) as outputs:
                pieces = [output async for output in outputs if isinstance(output, str)]
        except ProtocolError:
            outcomes.failed += 1
            assert anyio.current_time() - began_s < LONGEST_S
            return
        except Exception:  # noqa: BLE001  # what a plugin with a fault raises after its first words
            outcomes.failed += 1
            return
        outcomes.answered += 1
        if "".join(pieces) not in [f"model{at} {said}" for at in range(3)]:
            outcomes.wrong.append("".join(pieces))
    if scope.cancelled_caught:
        outcomes.left += 1
    assert anyio.current_time() - began_s < LONGEST_S or patience_s < LONGEST_S


async def test_a_thousand_turns_with_models_that_fail_at_random(tmp_path: Path) -> None:
    dice, outcomes, witness = random.Random(SEED), Outcomes(), Witness()
    members = models(str(SEED))
    stage = Stage(tmp_path, llm=witness.join("llm", *members))
    tasks_before, timers_before = len(asyncio.all_tasks()), timers()

    async with anyio.create_task_group() as tasks:
        for number in range(TURNS):
            tasks.start_soon(converse, stage, dice, number, outcomes)
            await anyio.sleep(dice.choice([0.0, 0.1, 1.0, 5.0]))

    assert outcomes.wrong == []
    assert outcomes.all == TURNS
    assert outcomes.answered > outcomes.failed
    assert len(asyncio.all_tasks()) == tasks_before
    assert timers() == timers_before
    assert [member.open for member in members] == [0, 0, 0]
    assert _started(stage) == _finished(stage) == TURNS
    assert len(witness.taken_over) > TURNS / 100


def _started(stage: Stage) -> int:
    return sum(isinstance(event, TurnStarted) for event in stage.events)


def _finished(stage: Stage) -> int:
    return sum(isinstance(event, TurnFinished) for event in stage.events)


def _answered(talk: Talk, before: int) -> bool:
    return len(talk.leg.events(ReplyFinished)) > before or talk.reason is not None


def parts(witness: Witness, seed: str) -> dict[str, Any]:
    """Chains of three in which everything fails at random."""
    tone = ToneOptions(character_ms=LETTER_S * 1000)
    heard = ScriptedOptions(transcripts=("one two three",), partials=True)
    recognisers = [shaken(ChaosSTT, ScriptedSTT(heard), f"{seed} stt {at}") for at in range(3)]
    voices = [shaken(ChaosTTS, ToneTTS(tone), f"{seed} tts {at}") for at in range(3)]
    return {
        "llm": witness.join("llm", *models(seed)),
        "stt": witness.join("stt", *recognisers),
        "tts": witness.join("tts", *voices),
    }


@pytest.mark.parametrize("number", range(CALLS))
async def test_a_call_in_which_every_provider_fails_at_random(tmp_path: Path, number: int) -> None:
    witness = Witness()
    dice = random.Random(f"{SEED} {number}")
    calls = Exchange(tmp_path, **parts(witness, f"{SEED} {number}"))
    tasks_before, timers_before = len(asyncio.all_tasks()), timers()

    async with calls.call() as talk:
        for _ in range(TURNS_A_CALL):
            if talk.reason is not None:
                break  # the recogniser failed three times in a row
            before = len(talk.leg.events(ReplyFinished))
            await talk.ask(dice.choice([0.3, 1.0, 2.0]))
            if dice.random() < 0.2:
                continue  # says something else at once
            with anyio.fail_after(LONGEST_S):
                await talk.leg.until(partial(_answered, talk, before))
    await anyio.sleep(1)

    assert len(asyncio.all_tasks()) == tasks_before
    assert timers() == timers_before
    assert _started(calls.stage) == _finished(calls.stage)
