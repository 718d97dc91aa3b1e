"""A call whose providers die goes on with those that stand for them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from jackfield.contracts.call import CallTrouble
from jackfield.contracts.extension import ProviderTookOver, TurnFinished
from jackfield.contracts.stt import Transcript, TranscriptionSettings, WholeUtteranceSTT
from jackfield.contracts.tts import SpeechSettings, TTSOutput, Voice
from jackfield.errors import ProviderUnavailable
from jackfield.testing import FakeLLM, FakeSTT, FakeTTS, VirtualClock
from jackfield_llm_echo import EchoLLM, EchoOptions
from jackfield_stt_scripted import ScriptedOptions, ScriptedStream, ScriptedSTT
from jackfield_tts_tone import ToneOptions, ToneTTS
from tests.core.dialogue.call.talk import LETTER_S, Exchange, Talk, scripted
from tests.core.resilience.chained import Witness

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


def gone() -> Exception:
    return ProviderUnavailable("gone")


def tone(rate_hz: int = 24_000) -> ToneTTS:
    return ToneTTS(ToneOptions(character_ms=LETTER_S * 1000, rate_hz=rate_hz))


def trouble(talk: Talk) -> list[str]:
    return [event.code for event in talk.leg.events(CallTrouble)]


def waterfall(exchange: Exchange) -> dict[str, float]:
    events = exchange.stage.events
    return dict(next(event for event in events if isinstance(event, TurnFinished)).waterfall)


def exchange(folder: Path, witness: Witness, **parts: Any) -> Exchange:
    found = Exchange(folder, **parts)
    witness.chains.connect(found.stage.events.append, found.stage.figures)
    return found


def taken_over(exchange: Exchange) -> list[str]:
    return [event.section for event in exchange.stage.events if isinstance(event, ProviderTookOver)]


@pytest.mark.parametrize(
    "first",
    [
        FakeLLM(outputs=[], error=gone),
        FakeLLM(outputs=[" "], error=gone),
        FakeLLM(hangs_at=0),
        FakeLLM(outputs=["\n", "late"], hangs_at=1),
    ],
    ids=["refuses", "cuts", "hangs", "stalls"],
)
async def test_another_model_answers_where_the_first_says_nothing(tmp_path: Path, first: FakeLLM) -> None:
    witness = Witness()
    calls = exchange(tmp_path, witness, llm=witness.join("llm", first, EchoLLM(EchoOptions())))
    async with calls.call() as talk:
        await talk.ask()
        finished = await talk.answered()

    assert (finished.outcome, finished.text) == ("ok", "hello there")
    assert trouble(talk) == []
    assert taken_over(calls) == ["llm.fallback.1"]
    assert finished.providers == {"stt": "ears", "llm": "second", "tts": "mouth"}
    assert 0 <= waterfall(calls)["llm_failover"] <= 3.5


@pytest.mark.parametrize("rate_hz", [24_000, 16_000])
async def test_another_voice_speaks_where_the_first_makes_no_sound(tmp_path: Path, rate_hz: int) -> None:
    witness = Witness()
    voice = witness.join("tts", FakeTTS(pcm=[], error=gone), tone(rate_hz))
    calls = exchange(tmp_path, witness, tts=voice)
    async with calls.call() as talk:
        await talk.ask()
        finished = await talk.answered()

    assert (finished.outcome, finished.text) == ("ok", "hello there")
    assert trouble(talk) == []
    assert len(talk.leg.heard_pcm(1)) / 48_000 == pytest.approx(len("hello there") * LETTER_S, rel=0.05)
    assert "tts.fallback.1" in taken_over(calls)
    assert finished.providers["tts"] == "second"


@dataclass
class Hoarse:
    """Speaks for a while, and then no more."""

    texts: list[str] = field(default_factory=list)
    spoken: int = 3

    def rate_hz(self, voice: Voice) -> int:
        return 24_000

    async def synthesize(self, text: str, settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
        self.texts.append(text)
        self.spoken -= 1
        if self.spoken < 0:
            raise ProviderUnavailable("lost its voice")
        yield bytes(2400)


async def test_a_voice_that_dies_between_two_sentences_is_replaced(tmp_path: Path) -> None:
    witness = Witness()
    llm = FakeLLM(outputs=["One is one. ", "Two is two. ", "Three is three."])
    first = Hoarse()
    calls = exchange(tmp_path, witness, llm=llm, tts=witness.join("tts", first, tone()))
    async with calls.call() as talk:
        await anyio.wait_all_tasks_blocked()
        first.spoken = 1
        await talk.ask()
        finished = await talk.answered()

    assert (finished.outcome, finished.text) == ("ok", "One is one. Two is two. Three is three.")
    assert taken_over(calls) == ["tts.fallback.1"]
    assert "tts_failover" in waterfall(calls)


class Deaf(WholeUtteranceSTT):
    async def recognize(self, pcm: bytes, settings: TranscriptionSettings) -> Transcript:
        await anyio.sleep_forever()
        raise AssertionError


class HangsUp(ScriptedSTT):
    """A stream that breaks in the middle of speech."""

    def stream(self, settings: TranscriptionSettings) -> ScriptedStream:
        return BrokenStream(ScriptedOptions(partials=True, transcripts=("one two three",)), None)


class BrokenStream(ScriptedStream):
    async def __aiter__(self) -> AsyncIterator[Transcript]:
        async for transcript in super().__aiter__():
            yield transcript
            raise ProviderUnavailable("hung up")


@pytest.mark.parametrize(
    "first", [FakeSTT(error=gone), Deaf(), HangsUp(ScriptedOptions())], ids=["fails", "hangs", "hangs up"]
)
async def test_another_recogniser_hears_what_the_first_did_not(tmp_path: Path, first: Any) -> None:
    witness = Witness()
    second = FakeSTT("what was said")
    calls = exchange(tmp_path, witness, stt=witness.join("stt", first, second))
    async with calls.call() as talk:
        await talk.ask(1.0)
        finished = await talk.answered()

    assert (finished.outcome, finished.text) == ("ok", "what was said")
    assert trouble(talk) == []
    assert taken_over(calls) == ["stt.fallback.1"]
    assert max(len(pcm) for pcm in second.utterances) / 32_000 >= 1.0


async def test_the_waterfall_of_a_turn_notes_that_its_recogniser_was_left(tmp_path: Path) -> None:
    witness = Witness()
    calls = exchange(tmp_path, witness, stt=witness.join("stt", Deaf(), scripted("hello there")))
    async with calls.call() as talk:
        await talk.ask()
        await talk.answered()

    assert waterfall(calls)["stt_failover"] == pytest.approx(3.0, abs=0.5)


async def test_a_call_in_which_every_member_fails_apologises(tmp_path: Path) -> None:
    witness = Witness()
    llm = witness.join("llm", FakeLLM(outputs=[], error=gone), FakeLLM(outputs=[], error=gone))
    async with exchange(tmp_path, witness, llm=llm).call() as talk:
        await talk.ask()
        finished = await talk.answered()

    assert finished.outcome == "failed"
    assert trouble(talk) == ["llm_failed"]


async def test_the_next_turn_does_not_wait_for_one_that_is_known_to_hang(tmp_path: Path) -> None:
    witness = Witness()
    calls = exchange(tmp_path, witness, llm=witness.join("llm", FakeLLM(hangs_at=0), EchoLLM(EchoOptions())))
    async with calls.call() as talk:
        await talk.ask()
        await talk.answered()
        began_s = anyio.current_time()
        await talk.ask()
        await talk.answered(2)

    assert anyio.current_time() - began_s < 2.5
