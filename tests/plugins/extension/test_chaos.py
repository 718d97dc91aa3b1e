"""The extension that makes providers fail on purpose."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any

import anyio
import pytest

import jackfield_extension_chaos as chaos
from jackfield import Site
from jackfield.assembly import Assembly, assemble
from jackfield.config import read_config
from jackfield.contracts.extension import ServerStarted, TurnStarted
from jackfield.contracts.failover import Probed
from jackfield.contracts.llm import LLM, GenerationRequest, LLMOutput, Message, TokenCounter
from jackfield.contracts.stt import STT, STT_RATE_HZ, DiscardingSTTStream, TranscriptionSettings
from jackfield.contracts.tts import TTS, IncrementalTTS, SpeechSettings
from jackfield.errors import (
    ContentFiltered,
    ContextTooLong,
    ProviderBadReply,
    ProviderError,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimedOut,
    ProviderUnauthorized,
    ProviderUnavailable,
)
from jackfield.testing import FakeSTT, LLMSuite, STTSuite, TTSSuite
from jackfield_extension_chaos.dice import Crash, Dice
from jackfield_extension_chaos.options import ChaosOptions
from jackfield_extension_chaos.providers import ChaosLLM, ChaosSTT, ChaosTTS, disturbed
from jackfield_llm_echo import EchoLLM, EchoOptions
from jackfield_stt_scripted import ScriptedOptions, ScriptedStream, ScriptedSTT
from jackfield_tts_tone import IncrementalToneTTS, ToneOptions, ToneTTS

pytestmark = pytest.mark.anyio

SPEECH = b"\x01\x00" * STT_RATE_HZ * 2
SCRIPT = ScriptedOptions(transcripts=("Hello there, you.",))


def dice(section: str = "llm", seed: int | None = None, **rule: Any) -> Dice:
    rules = [{"section": section, "do": "unavailable", **rule}]
    return Dice(ChaosOptions.model_validate({"rules": rules, "seed": seed}), section)


def llm(**rule: Any) -> LLM:
    return disturbed(ChaosLLM, EchoLLM(EchoOptions()), dice(**rule))


def tts(**rule: Any) -> TTS:
    return disturbed(ChaosTTS, ToneTTS(ToneOptions()), dice("tts", **rule))


def stt(inner: STT | None = None, **rule: Any) -> STT:
    return disturbed(ChaosSTT, inner or ScriptedSTT(SCRIPT), dice("stt", **rule))


async def said(model: LLM) -> list[LLMOutput]:
    async with aclosing(model.generate(GenerationRequest((Message("user", "one two three"),)))) as outputs:
        return [output async for output in outputs]


async def spoken(voice: TTS) -> int:
    async with aclosing(voice.synthesize("Hello.", SpeechSettings())) as outputs:
        return sum([len(output) async for output in outputs if isinstance(output, bytes)])


async def heard(recogniser: STT) -> str:
    async with recogniser.stream(TranscriptionSettings()) as stream:
        stream.push(SPEECH)
        stream.end_utterance()
        transcripts = aiter(stream)
        try:
            return (await anext(transcripts)).text
        finally:
            if isinstance(transcripts, AsyncGenerator):
                await transcripts.aclose()


ERRORS: Mapping[str, type[Exception]] = {
    "unavailable": ProviderUnavailable,
    "rate_limited": ProviderRateLimited,
    "unauthorized": ProviderUnauthorized,
    "timed_out": ProviderTimedOut,
    "bad_reply": ProviderBadReply,
    "refused": ProviderRefused,
    "context_too_long": ContextTooLong,
    "content_filtered": ContentFiltered,
    "crash": Crash,
}


@pytest.mark.parametrize("trouble", ERRORS)
async def test_each_kind_fails_in_every_category(trouble: str) -> None:
    for failing in (said(llm(do=trouble)), spoken(tts(do=trouble)), heard(stt(do=trouble))):
        with pytest.raises(ERRORS[trouble]):
            await failing


async def test_an_answer_is_cut_after_some_outputs() -> None:
    found: list[LLMOutput] = []
    async with aclosing(
        llm(after_outputs=2).generate(GenerationRequest((Message("user", "a b c"),)))
    ) as outputs:
        found += [await anext(outputs), await anext(outputs)]
        with pytest.raises(ProviderUnavailable):
            await anext(outputs)
    assert found == ["a ", "b "]


async def test_an_utterance_with_few_partials_is_cut_at_its_final() -> None:
    with pytest.raises(ProviderUnavailable):
        await heard(stt(after_outputs=10))


@pytest.mark.parametrize("rule", [{}, {"after_outputs": 1}, {"delay_s": 0.001}], ids=repr)
async def test_garbage_is_what_no_provider_may_give(rule: dict[str, Any]) -> None:
    outputs = await said(llm(do="garbage", **rule))
    assert [output for output in outputs if not isinstance(output, LLMOutput)]


@pytest.mark.parametrize("after_outputs", [0, 1])
async def test_a_stall_lasts_until_it_is_given_up(after_outputs: int) -> None:
    with anyio.move_on_after(0.05) as scope:
        await said(llm(do="stall", after_outputs=after_outputs))
    assert scope.cancelled_caught


@pytest.mark.parametrize("do", ["stall", "unavailable"])
async def test_a_recogniser_may_fail_while_its_stream_is_opened(do: str) -> None:
    stream = stt(do=do, connecting=True).stream(TranscriptionSettings())
    with anyio.move_on_after(0.05) as scope, pytest.raises(ProviderUnavailable):
        async with stream:
            raise AssertionError("it is open")
    assert scope.cancelled_caught == (do == "stall")


async def test_a_delay_changes_nothing_else() -> None:
    began_s = anyio.current_time()
    assert len(await said(llm(do="delay", delay_s=0.05))) == 4
    assert anyio.current_time() - began_s >= 0.04
    assert await heard(stt(do="delay", delay_s=0.001)) == "Hello there, you."


async def test_it_happens_so_many_times_at_the_most() -> None:
    model = llm(times=2)
    for _ in range(2):
        with pytest.raises(ProviderUnavailable):
            await said(model)
    assert len(await said(model)) == 4


async def test_a_provider_that_asks_to_wait_says_how_long() -> None:
    with pytest.raises(ProviderError) as caught:
        await said(llm(do="rate_limited", retry_after_s=7))
    assert caught.value.retry_after_s == 7


def test_the_same_seed_falls_the_same_way_in_each_section() -> None:
    def falls(seed: int | None, section: str) -> list[bool]:
        one = dice(section, seed, probability=0.5)
        return [one.roll() is not None for _ in range(64)]

    assert falls(7, "llm") == falls(7, "llm")
    assert falls(7, "llm") != falls(8, "llm")
    assert falls(7, "llm") != falls(7, "tts")
    assert 10 < sum(falls(7, "llm")) < 54


def test_the_first_rule_that_strikes_decides() -> None:
    rules = [
        {"section": "llm*", "do": "stall", "probability": 0.0},
        {"section": "tts", "do": "stall"},
        {"section": "llm.*", "do": "refused"},
        {"section": "*", "do": "stall"},
    ]
    options = ChaosOptions.model_validate({"rules": rules})
    fate = Dice(options, "llm.fallback.1").roll()
    assert fate is not None
    assert fate.rule.do == "refused"


# What a provider can besides.


class Everything(EchoLLM):
    opened = probed = 0

    async def __aenter__(self) -> Everything:
        self.opened += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self.opened -= 1

    async def probe(self) -> None:
        self.probed += 1


class Retentive(ScriptedSTT):
    """Forgets nothing."""

    def stream(self, settings: TranscriptionSettings) -> ScriptedStream:
        return RetentiveStream(SCRIPT, settings.language)


class RetentiveStream(ScriptedStream):
    discard = None  # type: ignore[assignment]  # as good as not there


async def test_whatever_a_provider_can_besides_it_still_can() -> None:
    inner = Everything(EchoOptions())
    model = disturbed(ChaosLLM, inner, dice())
    assert isinstance(model, TokenCounter)
    assert isinstance(model, AbstractAsyncContextManager)
    assert isinstance(model, Probed)
    async with model:
        await model.probe()
        assert (inner.opened, inner.probed, model.count_tokens("a b")) == (1, 1, 2)
    assert inner.opened == 0


async def test_what_a_provider_cannot_it_does_not_claim() -> None:
    model = disturbed(ChaosTTS, ToneTTS(ToneOptions()), dice())
    contracts = (TokenCounter, IncrementalTTS, Probed, AbstractAsyncContextManager)
    assert not [contract for contract in contracts if isinstance(model, contract)]
    assert isinstance(disturbed(ChaosTTS, IncrementalToneTTS(ToneOptions()), dice()), IncrementalTTS)
    assert isinstance(stt(FakeSTT()).stream(TranscriptionSettings()), DiscardingSTTStream)
    assert not isinstance(stt(Retentive(SCRIPT)).stream(TranscriptionSettings()), DiscardingSTTStream)


class TestModelThatIsSpared(LLMSuite):
    @pytest.fixture
    def llm(self) -> LLM:
        return llm(probability=0.0)


class TestVoiceThatIsSpared(TTSSuite):
    deterministic = True

    @pytest.fixture
    def tts(self) -> TTS:
        return tts(probability=0.0)


class TestRecogniserThatIsSpared(STTSuite):
    speech = SPEECH
    expected_words = ("hello", "there")

    @pytest.fixture
    def stt(self) -> STT:
        return stt(probability=0.0)


# In a server.

FILE = """
[llm]
use = "echo"
[[llm.fallback]]
use = "echo"
options.prefix = "Instead: "
[tts]
use = "tone"
[[transport]]
use = "relay_chat"
"""
CHAOS = """
[[extension]]
use = "chaos"
[[extension.options.rules]]
section = "llm"
do = "unavailable"
"""


def assembled(text: str) -> Assembly:
    return assemble(read_config(text, {}))


async def answer(assembly: Assembly) -> str:
    assert assembly.llm.default is not None
    return "".join(output for output in await said(assembly.llm.default.object) if isinstance(output, str))


async def test_it_strikes_the_sections_that_its_rules_name() -> None:
    assert await answer(assembled(FILE + CHAOS)) == "Instead: one two three"


async def test_it_is_never_on_by_itself() -> None:
    assembly = assembled(FILE)
    assert await answer(assembly) == "one two three"
    assert assembly.llm.default is not None
    assert [type(member.object) for member in assembly.llm.default.members] == [EchoLLM, EchoLLM]


def test_what_no_rule_names_is_left_as_it_is() -> None:
    assembly = assembled(FILE + CHAOS)
    assert assembly.llm.default is not None
    assert [type(member.object).__name__ for member in assembly.llm.default.members] == [
        "ChaosLLM",
        "EchoLLM",
    ]
    assert assembly.tts.default is not None
    assert type(assembly.tts.default.object) is ToneTTS


async def test_a_warning_at_the_start_says_that_it_is_on(caplog: pytest.LogCaptureFixture) -> None:
    options = ChaosOptions.model_validate({"rules": [{"section": "llm", "do": "stall"}]})
    observer = chaos.make_observer(options, Site("extension.1", "chaos", logging.getLogger("test")))
    with caplog.at_level(logging.WARNING):
        await observer.observe(TurnStarted("door", "session", "turn"))
        await observer.observe(ServerStarted())
    assert caplog.messages == ["[extension.1] chaos is on: providers fail on purpose: llm stall"]
