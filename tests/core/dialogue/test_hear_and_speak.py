"""Hearing a recording, or speaking a text, without a conversation."""

from __future__ import annotations

import io
import wave
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from jackfield.contracts.extension import Upload
from jackfield.contracts.tts import SpeechSettings, TTSOutput, Voice
from jackfield.errors import ProtocolError, ProviderTimedOut, ProviderUnauthorized
from jackfield.testing import FakeSTT, FakeTTS
from jackfield.testing.recordings import record
from jackfield_stt_scripted import ScriptedOptions, ScriptedSTT
from jackfield_tts_tone import ToneOptions, ToneTTS
from tests.core.dialogue.stage import Stage

pytestmark = pytest.mark.anyio

SECOND = bytes(range(256)) * 125  # one second of noise at 16 kHz


async def test_a_recording_is_heard_and_nothing_else_happens(tmp_path: Path) -> None:
    stage = Stage(tmp_path, stt=ScriptedSTT(ScriptedOptions(transcripts=("What is that?",))))

    heard = await stage.assistant.hear(Upload(record(SECOND * 3, "wav"), "audio/wav"), "pl-PL")

    assert (heard.text, heard.language) == ("What is that?", "pl-PL")
    assert heard.duration_s == pytest.approx(1, abs=0.01)  # what `record` writes has 48 kHz
    assert await stage.stored() == []


@pytest.mark.parametrize(
    ("label", "rate_hz"), [("audio/l16; rate=16000", 16_000), ("audio/L16;rate=8000", 8_000)]
)
async def test_sound_without_a_container_is_taken_by_its_label(
    tmp_path: Path, label: str, rate_hz: int
) -> None:
    stt = FakeSTT("hello")
    stage = Stage(tmp_path, stt=stt)

    heard = await stage.assistant.hear(Upload(bytes(2 * rate_hz), label))

    assert heard.text == "hello"
    assert heard.duration_s == pytest.approx(1, abs=0.01)
    assert len(stt.utterances[0]) == pytest.approx(32_000, abs=200)


@pytest.mark.parametrize(
    ("data", "label", "status", "code"),
    [
        (b"", "audio/l16; rate=16000", 422, "audio_undecodable"),
        (b"odd", "audio/l16; rate=16000", 422, "audio_undecodable"),
        (bytes(16_000), "audio/l16; rate=16000", 422, "audio_too_long"),
        (SECOND, "audio/l16", 415, "unsupported_audio_type"),
        (SECOND, "audio/l16; rate=1", 415, "unsupported_audio_type"),
    ],
)
async def test_other_sound_is_refused(
    tmp_path: Path, data: bytes, label: str, status: int, code: str
) -> None:
    stage = Stage(tmp_path, stt=FakeSTT(), config={"limits": {"audio_seconds": 0.4}})

    with pytest.raises(ProtocolError) as caught:
        await stage.assistant.hear(Upload(data, label))

    assert (caught.value.status, caught.value.code) == (status, code)


async def test_a_text_is_spoken_in_one_file_and_nothing_is_stored(tmp_path: Path) -> None:
    stage = Stage(tmp_path, tts=ToneTTS(ToneOptions(rate_hz=8000, character_ms=10)))
    text = "One sentence. And another one, which is longer."

    async with stage.clips:
        spoken = await stage.assistant.speak(text)

    assert spoken.media_type == "audio/wav"
    with wave.open(io.BytesIO(spoken.data)) as sound:
        assert sound.getframerate() == 8000
        assert sound.getnframes() / 8000 == pytest.approx(spoken.duration_s)
    assert spoken.duration_s == pytest.approx(len(text) * 0.01, abs=0.02)
    assert list((tmp_path / "clips").iterdir()) == []


async def test_the_voice_is_the_one_asked_for_else_that_of_the_file(tmp_path: Path) -> None:
    voices: list[Voice] = []

    class Chameleon(FakeTTS):
        def synthesize(self, text: str, settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
            voices.append(settings.voice)
            return super().synthesize(text, settings)

    stage = Stage(tmp_path, tts=Chameleon(), config={"assistant": {"voice": {"gender": "male"}}})

    async with stage.clips:
        await stage.assistant.speak("Hello.")
        await stage.assistant.speak("Hello.", Voice(accent="polish"))

    assert voices == [Voice(gender="male"), Voice(accent="polish")]


@pytest.mark.parametrize(
    ("error", "code"),
    [(ProviderUnauthorized("no"), "tts_failed"), (ProviderTimedOut("slow"), "tts_timeout")],
)
async def test_a_voice_that_fails_is_told(tmp_path: Path, error: Exception, code: str) -> None:
    stage = Stage(tmp_path, tts=FakeTTS(pcm=(), error=lambda: error))

    async with stage.clips:
        with pytest.raises(ProtocolError) as caught:
            await stage.assistant.speak("Hello.")

    assert caught.value.code == code


async def test_without_a_recogniser_or_a_voice_that_is_told(tmp_path: Path) -> None:
    stage = Stage(tmp_path)

    for attempt in (stage.assistant.hear(Upload(b"", "")), stage.assistant.speak("Hello.")):
        with pytest.raises(ProtocolError, match="voice_not_configured"):
            await attempt
