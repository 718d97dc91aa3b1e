"""Providers that fail in a call: the caller hears about it, and the call goes on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest

from jackfield.contracts.call import CallTrouble, ReplyFinished
from jackfield.contracts.extension import ProviderFailed, TurnFinished
from jackfield.contracts.llm import Finish, GenerationRequest, LLMOutput
from jackfield.contracts.session import Window
from jackfield.contracts.stt import Transcript, TranscriptionSettings
from jackfield.contracts.tts import SpeechSettings, TTSOutput
from jackfield.errors import ProviderBadReply, ProviderUnavailable, StoreUnavailable
from jackfield.testing import FakeLLM, FakeSTT, VirtualClock
from jackfield_session_memory import MemoryOptions, MemoryStore
from jackfield_stt_scripted import ScriptedOptions, ScriptedStream, ScriptedSTT
from jackfield_tts_tone import ToneOptions, ToneTTS
from tests.core.dialogue.call.talk import LETTER_S, Exchange, Talk, scripted

pytestmark = pytest.mark.anyio

APOLOGY = "Sorry, something went wrong. Please try again."
APOLOGY_S = len(APOLOGY) * LETTER_S


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


def sound_s(talk: Talk, item: int = 1) -> float:
    """Seconds that were heard of an item."""
    return len(talk.leg.heard_pcm(item)) / 48_000


def codes(talk: Talk) -> list[str]:
    return [event.code for event in talk.leg.events(CallTrouble)]


def unavailable() -> Exception:
    return ProviderUnavailable("gone")


# The model.


async def test_a_model_that_fails_is_apologised_for(tmp_path: Path) -> None:
    llm = FakeLLM(outputs=(), error=lambda: ProviderBadReply("nonsense"))
    exchange = Exchange(tmp_path, llm=llm)
    async with exchange.call() as talk:
        await talk.ask()
        finished = await talk.answered()

    assert (finished.outcome, finished.text) == ("failed", "")
    assert codes(talk) == ["llm_failed"]
    assert sound_s(talk) == pytest.approx(APOLOGY_S, rel=0.02)
    assert await exchange.stage.stored() == []


async def test_a_model_that_hangs_is_apologised_for_in_time(tmp_path: Path) -> None:
    async with Exchange(tmp_path, llm=FakeLLM(hangs_at=0)).call() as talk:
        await talk.ask()
        began_s = anyio.current_time()
        finished = await talk.answered()

    assert finished.outcome == "failed"
    assert codes(talk) == ["llm_timeout"]
    assert anyio.current_time() - began_s == pytest.approx(8 + APOLOGY_S, abs=0.5)


async def test_an_apology_follows_what_was_said_before_the_model_failed(tmp_path: Path) -> None:
    llm = FakeLLM(outputs=["One sentence. ", "And"], error=unavailable)
    exchange = Exchange(tmp_path, llm=llm)
    async with exchange.call() as talk:
        await talk.ask()
        finished = await talk.answered()

    assert (finished.outcome, finished.text) == ("failed", "One sentence.")
    assert sound_s(talk) > APOLOGY_S + len("One sentence.") * LETTER_S * 0.9
    assert await exchange.stage.stored() == [(True, "hello there"), (False, "One sentence.")]


async def test_a_failed_turn_is_told_of_as_such(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, llm=FakeLLM(outputs=(), error=lambda: ProviderBadReply("nonsense")))
    async with exchange.call() as talk:
        await talk.ask()
        await talk.answered()

    assert [e.outcome for e in exchange.stage.events if isinstance(e, TurnFinished)] == ["failed"]
    assert [e.section for e in exchange.stage.events if isinstance(e, ProviderFailed)] == ["llm"]


async def test_a_model_that_failed_for_words_that_nobody_said_is_not_apologised_for(tmp_path: Path) -> None:
    llm = FakeLLM(outputs=(), error=lambda: ProviderBadReply("nonsense"))
    async with Exchange(tmp_path, llm=llm).call() as talk:
        await talk.say(0.5)
        await talk.hush(0.28)
        await talk.say(0.5)

    assert codes(talk) == []


async def test_the_call_goes_on_after_an_apology(tmp_path: Path) -> None:
    class Moody(FakeLLM):
        async def generate(self, request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
            self.requests.append(request)
            if len(self.requests) == 1:
                raise ProviderBadReply("nonsense")
            yield "Better."
            yield Finish("stop")

    llm = Moody()
    async with Exchange(tmp_path, llm=llm, stt=scripted("first", "second")).call() as talk:
        await talk.ask()
        await talk.answered()
        await talk.ask()
        finished = await talk.answered(2)

    assert finished.text == "Better."
    assert [message.content for message in llm.requests[-1].messages[1:]] == ["second"]


async def test_an_apology_can_be_interrupted(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, llm=FakeLLM(outputs=(), error=lambda: ProviderBadReply("nonsense")))
    async with exchange.call() as talk:
        await talk.ask()
        await talk.sounding()
        await talk.say(0.5)
        finished = await talk.answered()

    assert finished.outcome == "interrupted"
    assert sound_s(talk) < APOLOGY_S / 2


# The voice.


@dataclass
class Hoarse:
    """A voice that fails, or hangs, at everything but the apology."""

    how: Literal["fails", "hangs", "breaks"]
    apologises: bool = True
    after_s: float = 0.0

    def rate_hz(self, voice: object) -> int:
        return 24_000

    async def synthesize(self, text: str, settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
        tone = ToneTTS(ToneOptions(character_ms=LETTER_S * 1000))
        if self.apologises and text == APOLOGY:
            async for output in tone.synthesize(text, settings):
                yield output
            return
        if self.after_s:
            yield bytes(b"\x01\x00" * round(24_000 * self.after_s))
        if self.how == "hangs":
            await anyio.sleep_forever()
        raise ProviderBadReply("hoarse") if self.how == "fails" else RuntimeError("broken")


@pytest.mark.parametrize(
    ("how", "code"), [("fails", "tts_failed"), ("breaks", "tts_failed"), ("hangs", "tts_timeout")]
)
async def test_a_voice_that_fails_is_apologised_for_and_the_words_are_shown(
    tmp_path: Path, how: Literal["fails", "hangs", "breaks"], code: str
) -> None:
    exchange = Exchange(tmp_path, llm=FakeLLM(), tts=Hoarse(how))
    async with exchange.call() as talk:
        await talk.ask()
        finished = await talk.answered()

    assert (finished.outcome, finished.text) == ("failed", "")
    assert codes(talk) == [code]
    assert talk.leg.shown(1) == "Hello there."
    assert sound_s(talk) == pytest.approx(APOLOGY_S, rel=0.02)


async def test_a_voice_that_never_worked_is_apologised_for_with_a_tone(tmp_path: Path) -> None:
    async with Exchange(tmp_path, llm=FakeLLM(), tts=Hoarse("fails", apologises=False)).call() as talk:
        await talk.ask()
        finished = await talk.answered()

    assert finished.outcome == "failed"
    assert 0.3 < sound_s(talk) < 2


async def test_what_a_voice_said_before_it_failed_is_stored(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, llm=FakeLLM(), tts=Hoarse("fails", after_s=0.7))
    async with exchange.call() as talk:
        await talk.ask()
        finished = await talk.answered()

    assert finished.outcome == "failed"
    assert finished.text == "Hello"
    assert await exchange.stage.stored() == [(True, "hello there"), (False, "Hello")]


async def test_a_voice_that_fails_does_not_hold_up_the_words(tmp_path: Path) -> None:
    words = [f"This is sentence number {number}. " for number in range(100)]
    llm = FakeLLM(outputs=[*words, Finish("stop")])
    async with Exchange(tmp_path, llm=llm, tts=Hoarse("fails")).call() as talk:
        await talk.ask()
        await talk.answered()

    assert talk.leg.shown(1) == "".join(words)


# The recogniser.


async def test_a_recogniser_that_fails_is_apologised_for(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, stt=FakeSTT(error=unavailable))
    async with exchange.call() as talk:
        await talk.ask()
        finished = await talk.answered()

    assert (finished.outcome, finished.text) == ("failed", "")
    assert codes(talk) == ["stt_failed"]
    assert sound_s(talk) == pytest.approx(APOLOGY_S, rel=0.02)
    assert await exchange.stage.stored() == []


async def test_a_recogniser_that_hangs_is_apologised_for_in_time(tmp_path: Path) -> None:
    async with Exchange(tmp_path, stt=FakeSTT(delay_s=1000)).call() as talk:
        await talk.ask()
        began_s = anyio.current_time()
        await talk.answered()

    assert codes(talk) == ["stt_timeout"]
    assert anyio.current_time() - began_s == pytest.approx(5 + APOLOGY_S, abs=0.5)


async def test_what_is_said_after_a_failure_is_recognised(tmp_path: Path) -> None:
    class Moody(FakeSTT):
        async def recognize(self, pcm: bytes, settings: TranscriptionSettings) -> Transcript:
            self.error = unavailable if not self.utterances else None
            return await super().recognize(pcm, settings)

    async with Exchange(tmp_path, stt=Moody()).call() as talk:
        await talk.ask()
        await talk.answered()
        await talk.ask()
        finished = await talk.answered(2)

    assert finished.text == "hello there"


async def test_three_failures_of_the_recogniser_in_a_row_end_the_call_after_the_apology(
    tmp_path: Path,
) -> None:
    async with Exchange(tmp_path, stt=FakeSTT(error=unavailable)).call() as talk:
        for item in (1, 2, 3):
            assert talk.reason is None
            await talk.ask()
            await talk.answered(item)
        await talk.ended.wait()

    assert talk.reason == "provider_lost"
    assert sound_s(talk, 3) == pytest.approx(APOLOGY_S, rel=0.02)


async def test_a_recogniser_that_cannot_be_opened_is_apologised_for(tmp_path: Path) -> None:
    class Closed(ScriptedSTT):
        def stream(self, settings: TranscriptionSettings) -> ScriptedStream:
            raise ProviderUnavailable("nobody is there")

    async with Exchange(tmp_path, stt=Closed(ScriptedOptions())).call() as talk:
        await talk.ask()
        finished = await talk.answered()

    assert finished.outcome == "failed"


async def test_a_recogniser_that_goes_away_while_nobody_speaks_costs_nothing(tmp_path: Path) -> None:
    class Tired(ScriptedSTT):
        """Its first stream ends after a while."""

        streams = 0

        def stream(self, settings: TranscriptionSettings) -> ScriptedStream:
            self.streams += 1
            return Ending(self._options, None) if self.streams == 1 else super().stream(settings)

    class Ending(ScriptedStream):
        async def __aiter__(self) -> AsyncIterator[Transcript]:
            await anyio.sleep(1)
            return
            yield

    stt = Tired(ScriptedOptions(transcripts=("hello there",)))
    exchange = Exchange(tmp_path, stt=stt)
    async with exchange.call() as talk:
        await talk.hush(2)
        await talk.ask()
        finished = await talk.answered()

    assert finished.outcome == "ok"
    assert codes(talk) == []


async def test_a_recogniser_that_fails_at_an_interruption_lets_the_answer_go_on(tmp_path: Path) -> None:
    class Moody(FakeSTT):
        async def recognize(self, pcm: bytes, settings: TranscriptionSettings) -> Transcript:
            self.error = unavailable if self.utterances else None
            return await super().recognize(pcm, settings)

    exchange = Exchange(tmp_path, stt=Moody("tell me a long story"), config={"call": {"min_words": 2}})
    async with exchange.call() as talk:
        await talk.ask()
        await talk.sounding()
        await talk.ask(0.3)
        finished = await talk.answered()

    assert finished.outcome == "ok"
    assert codes(talk) == ["stt_failed"]


# The detector of speech, the store, and the rest.


async def test_a_detector_that_is_broken_ends_the_call_with_an_apology(tmp_path: Path) -> None:
    class Broken:
        window_samples = 512

        def stream(self) -> Broken:
            return self

        def feed(self, window: bytes) -> float:
            raise RuntimeError("broken")

    async with Exchange(tmp_path, vad=Broken()).call() as talk:
        await talk.hush(4)
        await talk.answered()
        await talk.ended.wait()

    assert talk.reason == "provider_lost"
    assert codes(talk) == ["vad_failed"]


class Closed(MemoryStore):
    """A store that cannot be reached for some things."""

    def __init__(self, *what: str) -> None:
        super().__init__(MemoryOptions())
        self._what = what

    async def load(self, key: str) -> Window | None:
        if "load" in self._what:
            raise StoreUnavailable("gone")
        return await super().load(key)

    async def append(self, key: str, *args: Any, **options: Any) -> bool:
        if "append" in self._what:
            raise StoreUnavailable("gone")
        return await super().append(key, *args, **options)


async def test_a_conversation_that_cannot_be_read_is_apologised_for(tmp_path: Path) -> None:
    async with Exchange(tmp_path, store=Closed("load")).call() as talk:
        await talk.ask()
        finished = await talk.answered()

    assert finished.outcome == "failed"
    assert codes(talk) == ["store_unavailable"]


async def test_an_answer_that_cannot_be_stored_was_heard_all_the_same(tmp_path: Path) -> None:
    async with Exchange(tmp_path, store=Closed("append")).call() as talk:
        await talk.ask()
        finished = await talk.answered()
        await anyio.wait_all_tasks_blocked()

    assert finished.outcome == "ok"
    assert codes(talk) == ["store_unavailable"]


@pytest.mark.parametrize("error", [unavailable, lambda: RuntimeError("secret-123")])
async def test_no_word_of_what_a_provider_said_is_logged_or_told(
    tmp_path: Path, error: Callable[[], Exception], caplog: pytest.LogCaptureFixture
) -> None:
    async with Exchange(tmp_path, llm=FakeLLM(outputs=(), error=error)).call() as talk:
        await talk.ask()
        await talk.answered()

    assert "hello there" not in caplog.text
    assert not any("secret-123" in str(event) for _, event in talk.leg.told)
    assert talk.leg.events(ReplyFinished)[0].outcome == "failed"
