"""Recorded messages: from an upload to an answer that can be played."""

from __future__ import annotations

import logging
import wave
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from jackfield.contracts.extension import ProviderFailed, Upload
from jackfield.contracts.llm import Finish, GenerationRequest, LLMOutput
from jackfield.contracts.stt import Transcript, TranscriptionSettings, WholeUtteranceSTT
from jackfield.contracts.tts import SpeechSettings, TTSOutput, Voice
from jackfield.contracts.turn import ClipAnswer
from jackfield.errors import ProtocolError, ProviderBadReply, ProviderUnauthorized, ProviderUnavailable
from jackfield.testing import FakeLLM, FakeSTT, FakeTTS
from jackfield.testing.recordings import record
from jackfield_llm_echo import EchoLLM, EchoOptions
from jackfield_stt_scripted import ScriptedOptions, ScriptedStream, ScriptedSTT
from jackfield_tts_tone import ToneOptions, ToneTTS
from tests.core.dialogue.stage import CONVERSATION, Stage, request

pytestmark = pytest.mark.anyio

SECOND = bytes(range(256)) * 375  # one second of noise at 48 kHz
RECORDING = record(SECOND, "webm")
UPLOAD = Upload(RECORDING, "audio/webm;codecs=opus")


def stage_of(folder: Path, **parts: Any) -> Stage:
    return Stage(folder, **{"stt": FakeSTT(), "tts": FakeTTS(), **parts})


@asynccontextmanager
async def opened(stage: Stage) -> AsyncIterator[Stage]:
    async with stage.clips:
        yield stage


async def answer(stage: Stage, upload: Upload = UPLOAD, **changes: Any) -> ClipAnswer:
    async with opened(stage):
        return await stage.assistant.reply_to_clip(request("", **changes), upload)


async def failure(stage: Stage, upload: Upload = UPLOAD, **changes: Any) -> ProtocolError:
    with pytest.raises(ProtocolError) as error:
        await answer(stage, upload, **changes)
    assert await stage.stored() == []
    return error.value


# The whole way.


async def test_a_recording_is_heard_answered_and_spoken(tmp_path: Path) -> None:
    stage = stage_of(
        tmp_path,
        stt=ScriptedSTT(ScriptedOptions(transcripts=("What is that?",))),
        tts=ToneTTS(ToneOptions(rate_hz=8000, character_ms=10)),
        llm=EchoLLM(EchoOptions(prefix="You ask: ")),
    )

    found = await answer(stage)

    assert (found.text, found.transcript) == ("You ask: What is that?", "What is that?")
    assert found.clip is not None
    with wave.open(str(tmp_path / "clips" / found.clip)) as sound:
        assert sound.getframerate() == 8000
        assert sound.getnframes() == len(found.text) * 80
    assert await stage.stored() == [(True, "What is that?"), (False, "You ask: What is that?")]
    assert {message.type for message in (await stage.window()).messages} == {"voice"}


async def test_the_recogniser_gets_the_sound_as_its_contract_says(tmp_path: Path) -> None:
    stt = FakeSTT()
    await answer(stage_of(tmp_path, stt=stt))

    assert abs(len(stt.utterances[0]) - 32_000) < 2_000


async def test_the_recogniser_is_told_the_language(tmp_path: Path) -> None:
    heard: list[str | None] = []

    class Linguist(WholeUtteranceSTT):
        async def recognize(self, pcm: bytes, settings: TranscriptionSettings) -> Transcript:
            heard.append(settings.language)
            return Transcript("hi", "final")

    stage = stage_of(tmp_path, stt=Linguist(), config={"assistant": {"language": "de"}})
    await answer(stage)
    await answer(stage, language="fr")

    assert heard == ["de", "fr"]


async def test_a_transcript_is_normalised(tmp_path: Path) -> None:
    assert (await answer(stage_of(tmp_path, stt=FakeSTT(" cafe\u0301\x00 ")))).transcript == "café"


async def test_the_steps_of_a_spoken_turn_are_told(tmp_path: Path) -> None:
    stage = stage_of(tmp_path)
    await answer(stage)

    assert stage.figures.named["jackfield_audio_total"].values == {
        ("decode", "ok"): 1,
        ("stt", "ok"): 1,
        ("tts", "ok"): 1,
    }
    stages = [labels[1] for _, labels in stage.figures.named["jackfield_stage_seconds"].observed]
    assert stages[:3] == ["decoded", "transcript", "first_token"]
    assert set(stages) >= {"first_sentence", "answered", "stored"}


# What is no use.


@dataclass
class Guard:
    """A scanner."""

    verdict: bool | Exception
    seen: list[Upload] = field(default_factory=list)

    async def scan(self, upload: Upload) -> bool:
        self.seen.append(upload)
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


@pytest.mark.parametrize(
    ("upload", "status", "code"),
    [
        (Upload(RECORDING, "audio/mpeg"), 415, "unsupported_audio_type"),
        (Upload(RECORDING, "text/plain"), 415, "unsupported_audio_type"),
        (Upload(b"no sound at all", "audio/webm"), 415, "unsupported_audio_type"),
        (Upload(b"", "audio/webm"), 415, "unsupported_audio_type"),
        (Upload(RECORDING[:60], "audio/webm"), 422, "audio_undecodable"),
        (Upload(RECORDING[:40] + bytes(200), "audio/webm"), 422, "audio_undecodable"),
    ],
)
async def test_what_is_no_recording_is_refused(
    tmp_path: Path, upload: Upload, status: int, code: str
) -> None:
    stt, llm = FakeSTT(), FakeLLM()

    error = await failure(stage_of(tmp_path, stt=stt, llm=llm), upload)

    assert (error.status, error.code) == (status, code)
    assert not stt.utterances
    assert not llm.requests
    assert list((tmp_path / "clips").iterdir()) == []


async def test_a_recording_that_is_too_long_is_refused(tmp_path: Path) -> None:
    error = await failure(stage_of(tmp_path, config={"limits": {"audio_seconds": 0.5}}))

    assert (error.status, error.code, error.errors[0].field) == (422, "audio_too_long", "audio")


async def test_a_recording_that_is_too_large_is_refused(tmp_path: Path) -> None:
    error = await failure(stage_of(tmp_path, config={"limits": {"audio_bytes": len(RECORDING) - 1}}))

    assert (error.status, error.code) == (413, "audio_too_large")


async def test_a_flagged_upload_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    clean, flagged, never = Guard(verdict=True), Guard(verdict=False), Guard(verdict=True)
    stage = stage_of(tmp_path, scanners=[clean, flagged, never])

    error = await failure(stage)

    assert (error.status, error.code) == (422, "file_rejected")
    assert clean.seen == flagged.seen == [UPLOAD]
    assert never.seen == []
    assert stage.figures.named["jackfield_audio_total"].values == {}


async def test_a_scanner_that_is_down_lets_nothing_in(tmp_path: Path) -> None:
    error = await failure(stage_of(tmp_path, scanners=[Guard(ProviderUnavailable("secret-123"))]))

    assert (error.status, error.code) == (503, "scanner_unavailable")
    assert "secret" not in str(error)


async def test_a_scanner_that_hangs_lets_nothing_in(tmp_path: Path) -> None:
    class Hanging:
        cancelled = False

        async def scan(self, upload: Upload) -> bool:
            try:
                await anyio.sleep_forever()
            finally:
                self.cancelled = True
            return True

    scanner, limits = Hanging(), {"timeouts": {"scan_seconds": 0.05}}

    error = await failure(stage_of(tmp_path, scanners=[scanner], config=limits))

    assert (error.status, error.code) == (503, "scanner_unavailable")
    assert scanner.cancelled


async def test_a_scanner_that_breaks_lets_nothing_in(tmp_path: Path) -> None:
    stage = stage_of(tmp_path, scanners=[Guard(KeyError("x"))])

    with pytest.raises(KeyError):
        await answer(stage)


@pytest.mark.parametrize("text", ["", " \n", "\x00"])
async def test_a_recording_without_words_is_told_as_such(tmp_path: Path, text: str) -> None:
    llm = FakeLLM()

    error = await failure(stage_of(tmp_path, stt=FakeSTT(text), llm=llm))

    assert (error.status, error.code) == (422, "no_speech")
    assert llm.requests == []


async def test_without_a_recogniser_recordings_are_refused(tmp_path: Path) -> None:
    assert (await failure(Stage(tmp_path))).code == "voice_not_configured"


async def test_a_scenario_that_is_not_there_is_told_before_anything_is_heard(tmp_path: Path) -> None:
    stt = FakeSTT()

    assert (await failure(stage_of(tmp_path, stt=stt), scenario="nowhere")).status == 404
    assert stt.utterances == []


# A recogniser that fails.


async def test_a_failing_recogniser_is_told_by_its_code(tmp_path: Path) -> None:
    stage = stage_of(tmp_path, stt=FakeSTT(error=lambda: ProviderBadReply("secret-123")))

    error = await failure(stage)

    assert (error.status, error.code) == (502, "stt_failed")
    assert "secret" not in str(error)
    assert stage.events[0] == ProviderFailed("stt", "ears", "ProviderBadReply")
    assert stage.kinds() == ["ProviderFailed", "TurnStarted", "TurnFinished"]
    assert stage.figures.named["jackfield_audio_total"].values["stt", "error"] == 1


async def test_a_slow_recogniser_is_left_in_time(tmp_path: Path) -> None:
    stage = stage_of(tmp_path, stt=FakeSTT(delay_s=60), config={"timeouts": {"stt_seconds": 0.05}})

    error = await failure(stage)

    assert (error.status, error.code) == (504, "stt_timeout")


async def test_repetitions_of_a_recogniser_share_its_time(tmp_path: Path) -> None:
    stt = FakeSTT(error=lambda: ProviderUnavailable("gone"))
    stage = stage_of(tmp_path, stt=stt, config={"timeouts": {"stt_seconds": 0.6}})  # one pause of 0.5 s

    assert (await failure(stage)).code == "stt_timeout"
    assert len(stt.utterances) == 2


async def test_a_failure_of_the_recogniser_that_passes_is_not_seen(tmp_path: Path) -> None:
    errors: list[Exception] = [ProviderUnavailable("gone")]

    class Flaky(FakeSTT):
        async def recognize(self, pcm: bytes, settings: TranscriptionSettings) -> Transcript:
            if errors:
                raise errors.pop()
            return await super().recognize(pcm, settings)

    assert (await answer(stage_of(tmp_path, stt=Flaky()))).transcript == "hello there"


async def test_a_recogniser_that_gives_no_final_has_failed(tmp_path: Path) -> None:
    class Silent(ScriptedStream):
        def end_utterance(self, *, unchanged: bool = False) -> None:
            self._closed = True

    class Mute(ScriptedSTT):
        def stream(self, settings: TranscriptionSettings) -> ScriptedStream:
            return Silent(ScriptedOptions(), settings.language)

    stage = stage_of(tmp_path, stt=Mute(ScriptedOptions()))

    assert (await failure(stage)).code == "stt_failed"


# A voice that fails costs the sound alone.


async def text_only(stage: Stage) -> None:
    found = await answer(stage)
    assert found.clip is None
    assert found.text == "Hello there."
    assert len(await stage.stored()) == 2
    assert list(stage.clip_folder.iterdir()) == []


@pytest.mark.parametrize(
    "error", [ProviderUnauthorized("secret-123"), KeyError("secret-123"), OSError("no space")]
)
@pytest.mark.parametrize("pcm", [(), (bytes(320),)])
async def test_a_failing_voice_leaves_the_text(
    tmp_path: Path, error: Exception, pcm: tuple[bytes, ...]
) -> None:
    def fail() -> Exception:
        return error

    stage = stage_of(tmp_path, llm=FakeLLM(), tts=FakeTTS(pcm=pcm, error=fail))

    await text_only(stage)
    assert stage.figures.named["jackfield_audio_total"].values["tts", "error"] == 1
    assert ProviderFailed("tts", "mouth", type(error).__name__) in stage.events


async def test_a_voice_that_says_nothing_leaves_the_text(tmp_path: Path) -> None:
    await text_only(stage_of(tmp_path, llm=FakeLLM(), tts=FakeTTS(pcm=())))


async def test_a_slow_voice_leaves_the_text(tmp_path: Path) -> None:
    tts = FakeTTS(delay_s=60)

    await text_only(stage_of(tmp_path, llm=FakeLLM(), tts=tts, config={"timeouts": {"tts_seconds": 0.05}}))


async def test_without_a_voice_there_is_the_text(tmp_path: Path) -> None:
    await text_only(stage_of(tmp_path, llm=FakeLLM(), tts=None))


async def test_a_clip_that_cannot_be_stored_leaves_the_text_and_is_not_the_voices_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stage = stage_of(tmp_path, llm=FakeLLM())
    async with opened(stage):
        stage.clip_folder.rmdir()
        found = await stage.assistant.reply_to_clip(request(""), UPLOAD)

    assert (found.text, found.clip) == ("Hello there.", None)
    assert f"the spoken answer cannot be stored, and goes out as text: {stage.clip_folder}" in caplog.text
    assert "ProviderFailed" not in stage.kinds()
    assert stage.figures.named["jackfield_audio_total"].values["tts", "error"] == 1


async def test_a_voice_that_fails_at_once_does_not_hold_up_a_long_answer(tmp_path: Path) -> None:
    long = tuple(f"This is sentence number {number}. " for number in range(200))
    stage = stage_of(
        tmp_path, llm=FakeLLM(outputs=long), tts=FakeTTS(pcm=(), error=lambda: ProviderUnauthorized("no"))
    )

    found = await answer(stage)

    assert found.text == "".join(long).strip()
    assert found.clip is None


# A model that fails.


async def test_a_failing_model_is_one_error_and_nothing_is_stored(tmp_path: Path) -> None:
    tts = FakeTTS(delay_s=60)
    llm = FakeLLM(outputs=("One sentence. ", "Two"), error=lambda: ProviderUnauthorized("secret-123"))
    stage = stage_of(tmp_path, llm=llm, tts=tts)

    error = await failure(stage)  # and neither an ExceptionGroup nor a minute later

    assert (error.status, error.code) == (502, "llm_failed")
    assert list((tmp_path / "clips").iterdir()) == []


async def test_a_model_that_breaks_its_contract_is_one_error_too(tmp_path: Path) -> None:
    stage = stage_of(tmp_path, llm=FakeLLM(outputs=(), error=lambda: KeyError("x")))

    with pytest.raises(KeyError):
        await answer(stage)


@dataclass
class Witness:
    """A model that goes on only when its first sentence is being spoken, and the voice that speaks it."""

    spoken: anyio.Event = field(default_factory=anyio.Event)
    settings: list[SpeechSettings] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        yield "First sentence. "
        yield "Second "
        with anyio.fail_after(5):
            await self.spoken.wait()
        yield "sentence."
        yield Finish("stop")

    def rate_hz(self, voice: Voice) -> int:
        return 16_000

    async def synthesize(self, text: str, settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
        self.texts.append(text)
        self.settings.append(settings)
        self.spoken.set()
        yield bytes(3200)


async def test_the_first_sentence_is_spoken_before_the_model_has_finished(tmp_path: Path) -> None:
    witness = Witness()

    found = await answer(stage_of(tmp_path, llm=witness, tts=witness))

    assert found.clip is not None
    assert witness.texts == ["First sentence.", "Second sentence."]


@pytest.mark.parametrize(
    ("asked", "preferred", "wanted"),
    [
        (None, None, Voice(language="en")),
        (None, {"name": "joe"}, Voice(name="joe")),
        (Voice(name="amy"), {"name": "joe"}, Voice(name="amy")),
    ],
)
async def test_the_preferred_voice_speaks(
    tmp_path: Path, asked: Voice | None, preferred: dict[str, str] | None, wanted: Voice
) -> None:
    witness = Witness()
    stage = stage_of(tmp_path, llm=witness, tts=witness, config={"assistant": {"voice": {"language": "en"}}})
    if preferred:
        await stage.sessions.set_preferences(CONVERSATION, {"voice": preferred})

    await answer(stage, voice=asked)

    assert {settings.voice for settings in witness.settings} == {wanted}


# Order and going away.


async def test_recordings_and_texts_of_one_conversation_take_turns(tmp_path: Path) -> None:
    stage = stage_of(tmp_path, stt=FakeSTT("spoken", delay_s=0.05))
    async with opened(stage), anyio.create_task_group() as tasks:
        tasks.start_soon(stage.assistant.reply_to_clip, request(""), UPLOAD)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(stage.say, "typed")

    assert [text for _, text in await stage.stored()] == ["spoken", "spoken", "typed", "typed"]


async def test_going_away_while_it_is_spoken_ends_the_voice_and_leaves_no_clip(tmp_path: Path) -> None:
    closed: list[str] = []

    class Slow(FakeTTS):
        async def synthesize(self, text: str, settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
            try:
                yield bytes(3200)
                await anyio.sleep_forever()
            finally:
                closed.append(text)

    stage = stage_of(tmp_path, llm=FakeLLM(), tts=Slow())
    async with opened(stage):
        with anyio.move_on_after(0.3) as scope:
            await stage.assistant.reply_to_clip(request(""), UPLOAD)

    assert scope.cancelled_caught
    assert closed == ["Hello there."]
    assert list((tmp_path / "clips").iterdir()) == []
    assert await stage.say("next") == "Hello there."


async def test_the_log_holds_no_word_that_was_spoken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="jackfield"):
        await answer(stage_of(tmp_path, stt=FakeSTT("my private question")))

    assert "private" not in caplog.text
