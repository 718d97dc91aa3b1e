"""A chain keeps every promise of its kind, with a first member that works and with one that does not."""

from __future__ import annotations

import pytest

from jackfield.contracts.llm import LLM
from jackfield.contracts.stt import STT, STT_RATE_HZ
from jackfield.contracts.tts import TTS
from jackfield.errors import ProviderUnavailable
from jackfield.plugin import Capabilities
from jackfield.resilience.abilities import of_chain
from jackfield.testing import FakeLLM, FakeSTT, FakeTTS, LLMSuite, STTSuite, TTSSuite
from jackfield_llm_echo import EchoLLM, EchoOptions
from jackfield_stt_scripted import ScriptedOptions, ScriptedSTT
from jackfield_tts_tone import IncrementalToneTTS, ToneOptions, ToneTTS
from tests.core.resilience.chained import Witness

pytestmark = pytest.mark.anyio

SPEECH = b"\x01\x00" * STT_RATE_HZ * 2
SCRIPT = ScriptedOptions(transcripts=("Hello there, you.",))
STREAMING = Capabilities(streaming=True)


def gone() -> Exception:
    return ProviderUnavailable("gone")


def echo() -> EchoLLM:
    return EchoLLM(EchoOptions())


class TestModels(LLMSuite):
    capabilities = STREAMING
    distinct = (("a red apple", "apple"), ("a ripe pear", "pear"), ("a sour plum", "plum"))

    @pytest.fixture
    def llm(self) -> LLM:
        chain: LLM = Witness().join("llm", echo(), FakeLLM())
        return chain


class TestModelsWhoseFirstFails(LLMSuite):
    capabilities = STREAMING
    distinct = (("a red apple", "apple"), ("a ripe pear", "pear"), ("a sour plum", "plum"))

    @pytest.fixture
    def llm(self) -> LLM:
        chain: LLM = Witness().join("llm", FakeLLM(outputs=[" "], error=gone), echo())
        return chain


class TestVoices(TTSSuite):
    deterministic = True

    @pytest.fixture
    def tts(self) -> TTS:
        chain: TTS = Witness().join("tts", ToneTTS(ToneOptions()), FakeTTS())
        return chain


class TestVoicesWhoseFirstFails(TTSSuite):
    deterministic = True

    @pytest.fixture
    def tts(self) -> TTS:
        chain: TTS = Witness().join("tts", FakeTTS(pcm=[], error=gone), ToneTTS(ToneOptions()))
        return chain


class TestVoicesThatTakePieces(TTSSuite):
    capabilities = STREAMING
    deterministic = True

    @pytest.fixture
    def tts(self) -> TTS:
        voices = [IncrementalToneTTS(ToneOptions(incremental=True, marks=True)), ToneTTS(ToneOptions())]
        chain: TTS = Witness().join("tts", *voices, can=[STREAMING, Capabilities()])
        return chain


class TestRecognisers(STTSuite):
    speech = SPEECH
    expected_words = ("hello", "there")

    @pytest.fixture
    def stt(self) -> STT:
        chain: STT = Witness().join("stt", ScriptedSTT(SCRIPT), FakeSTT())
        return chain


class TestRecognisersWithPartials(STTSuite):
    speech = SPEECH
    expected_words = ("hello", "there")
    capabilities = STREAMING

    @pytest.fixture
    def stt(self) -> STT:
        script = SCRIPT.model_copy(update={"partials": True, "delay_s": 0.01})
        chain: STT = Witness().join("stt", ScriptedSTT(script), FakeSTT(), can=[STREAMING] * 2)
        return chain


class TestRecognisersWhoseFirstFails(STTSuite):
    speech = SPEECH
    expected_words = ("hello", "there")

    @pytest.fixture
    def stt(self) -> STT:
        chain: STT = Witness().join("stt", FakeSTT(error=gone), ScriptedSTT(SCRIPT))
        return chain


def test_a_chain_claims_what_all_its_members_can() -> None:
    first = Capabilities(
        streaming=True,
        languages=("en", "de", "pl"),
        models=("big",),
        voices=("ada",),
        context_tokens=8000,
        keeps_prefixes=True,
        cancel_s=0.1,
        max_concurrency=4,
    )
    second = Capabilities(
        languages=("de", "en"), models=("small", "big"), context_tokens=4000, network=True, cancel_s=2.0
    )
    assert of_chain("llm", [first, second, Capabilities()]) == Capabilities(
        streaming=False,
        languages=("en", "de"),
        models=("big", "small"),
        voices=("ada",),
        context_tokens=4000,
        keeps_prefixes=True,
        network=True,
        cancel_s=2.0,
        max_concurrency=4,
    )


def test_a_voice_that_takes_pieces_does_so_whoever_stands_behind_it() -> None:
    assert of_chain("tts", [STREAMING, Capabilities()]).streaming
