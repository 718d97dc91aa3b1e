"""How many seconds of sound are counted, and whose."""

from __future__ import annotations

from pathlib import Path

import pytest

from jackfield.audio.pcm import WIDTH_BYTES
from jackfield.contracts.extension import Upload
from jackfield.contracts.stt import STT_RATE_HZ
from jackfield_stt_scripted import ScriptedOptions, ScriptedSTT
from jackfield_tts_tone import ToneOptions, ToneTTS
from tests.core.dialogue.stage import Stage, request

pytestmark = pytest.mark.anyio

TWO_SECONDS = bytes(range(256)) * (2 * WIDTH_BYTES * STT_RATE_HZ // 256)


async def test_what_was_heard_and_what_was_spoken_is_counted_by_section(tmp_path: Path) -> None:
    stt = ScriptedSTT(ScriptedOptions(transcripts=("one two",)))
    stage = Stage(tmp_path, stt=stt, tts=ToneTTS(ToneOptions(character_ms=100)))
    await stage.assistant.reply_to_clip(request(""), Upload(TWO_SECONDS, "audio/l16; rate=16000"))

    seconds = stage.figures.named["jackfield_audio_seconds_total"].values
    assert seconds == {("stt",): pytest.approx(2.0), ("tts",): pytest.approx(0.7)}
