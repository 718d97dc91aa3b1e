"""The plugin `piper` with the real voice."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import re
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import anyio
import numpy as np
import pytest

import jackfield_stt_faster_whisper as whisper
from jackfield import Site
from jackfield.audio.decode import decode
from jackfield.audio.encode import ClipFormat, encode
from jackfield.contracts.stt import TranscriptionSettings
from jackfield.contracts.tts import SpeechSettings, Voice
from jackfield.errors import PluginCannotStart
from jackfield.models import ModelMissing, is_fetched, locate
from jackfield.testing import TTSSuite
from jackfield.testing.tts import speech_of
from jackfield_tts_piper import PiperOptions, make_tts, model as model_module, plugin_info
from jackfield_tts_piper.graph import cut
from jackfield_tts_piper.loudness import Loudness
from jackfield_tts_piper.model import Model, SplitModel, WholeModel, load
from jackfield_tts_piper.tts import PiperTTS

if not os.environ.get("CI"):
    if importlib.util.find_spec("piper") is None:
        pytest.skip("Needs piper-tts.", allow_module_level=True)
    if not is_fetched("piper-en-us-joe"):
        pytest.skip("Needs a voice: jackfield models fetch piper-en-us-joe", allow_module_level=True)

from onnxruntime import RunOptions  # type: ignore[import-untyped]  # it has no types
from piper import PiperConfig, SynthesisConfig

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

IDS = [1, 0, *(number for at in range(20, 60) for number in (at, 0)), 2]
"""Phonemes, as the voice numbers them."""
EVEN = SynthesisConfig(noise_scale=0, noise_w_scale=0)
CLIPS: tuple[ClipFormat, ...] = ("mp3", "ogg")
LONG_SENTENCE = ", ".join(["it was the age of wisdom, it was the age of foolishness"] * 6)


def build(**options: object) -> PiperTTS:
    settings = PiperOptions.model_validate(options)
    return make_tts(settings, Site("tts", "piper", logging.getLogger(__name__)))


@pytest.fixture(scope="module")
async def tts() -> AsyncIterator[PiperTTS]:
    """The voice, loaded once."""
    async with build() as tts:
        yield tts


class TestPiper(TTSSuite):
    capabilities = plugin_info().capabilities(PiperOptions())


async def test_the_rate_is_the_voices_own(tts: PiperTTS) -> None:
    assert tts.rate_hz(Voice()) == 22_050


@pytest.mark.parametrize("text", ["...", "!? —", "👍", "\u200d\x00", "[[]]"])
async def test_signs_without_a_word_have_nothing_to_say(tts: PiperTTS, text: str) -> None:
    assert (await speech_of(tts, text)).pcm == b""


async def test_a_sentence_is_heard_before_all_of_it_is_computed(tts: PiperTTS) -> None:
    text = "It was the age of wisdom and it was the age of foolishness."
    async with aclosing(tts.synthesize(text, SpeechSettings())) as synthesis:
        lengths_s = [len(part) / 2 / 22_050 async for part in synthesis if isinstance(part, bytes)]
    assert lengths_s[0] < 0.4
    assert sum(lengths_s) > 2


def loaded() -> Model:
    config = PiperConfig.from_dict(json.loads(Path(f"{locate('piper-en-us-joe')}.json").read_text()))
    return load(locate("piper-en-us-joe"), config, 1, IDS, EVEN)


def sound_of(voice: Model) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.concatenate(list(voice.sounds(IDS, EVEN, RunOptions())))


def test_the_parts_of_a_sentence_sound_like_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    in_parts = loaded()
    monkeypatch.setattr(model_module, "_DECODER", "unknown")
    whole = loaded()
    assert isinstance(in_parts, SplitModel)
    assert isinstance(whole, WholeModel)
    assert np.abs(sound_of(in_parts) - sound_of(whole)).max() < 1e-3


def test_margins_that_are_too_narrow_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "_MARGINS", (2, 12))
    assert isinstance(loaded(), SplitModel)
    monkeypatch.setattr(model_module, "_MARGINS", (2,))
    assert isinstance(loaded(), WholeModel)


def test_a_model_that_was_cut_short_is_refused() -> None:
    model = locate("piper-en-us-joe").read_bytes()
    with pytest.raises(ValueError, match="beyond the end"):
        cut(model[: len(model) // 2], "dec.conv_pre.weight")


def test_a_model_without_the_weight_is_not_cut() -> None:
    assert cut(locate("piper-en-us-joe").read_bytes(), "unknown") is None


def test_a_sentence_is_as_loud_as_the_loudest_before_it_allows() -> None:
    loudness = Loudness()
    quiet, loud = np.array([0.1, -0.2], np.float32), np.array([0.4, -0.1], np.float32)
    assert loudness.gain(None, quiet) == pytest.approx(0.85 / 0.2)
    loudness.heard(None, loud)
    assert loudness.gain(None, quiet) == pytest.approx(0.85 / 0.4)
    assert loudness.gain(1, quiet) == pytest.approx(0.85 / 0.2)


def test_silence_is_not_made_louder() -> None:
    assert Loudness().gain(None, np.zeros(3, np.float32)) == 0


async def test_a_sentence_is_heard_before_the_next_is_made(tts: PiperTTS) -> None:
    async with aclosing(tts.synthesize("Yes. " + LONG_SENTENCE, SpeechSettings())) as synthesis:
        first = await anext(synthesis)
        assert isinstance(first, bytes)
        assert len(first) / 2 / 22_050 < 1.5


async def test_a_long_sentence_comes_in_pieces(tts: PiperTTS) -> None:
    async with aclosing(tts.synthesize(LONG_SENTENCE, SpeechSettings())) as synthesis:
        lengths_s = [len(piece) / 2 / 22_050 async for piece in synthesis if isinstance(piece, bytes)]
    assert len(lengths_s) > 3
    assert max(lengths_s) < 8


async def test_text_without_a_single_space_is_spoken(tts: PiperTTS) -> None:
    assert (await speech_of(tts, "supercalifragilistic" * 12)).duration_s > 5


async def test_double_brackets_are_not_read_as_phonemes(tts: PiperTTS) -> None:
    assert (await speech_of(tts, "[[1234567]]")).duration_s > 3  # as phonemes it is less than a second


async def test_the_duration_of_the_sounds_can_be_set(tts: PiperTTS) -> None:
    text = "The quick brown fox jumps over the lazy dog."
    usual_s = [(await speech_of(tts, text)).duration_s for _ in range(2)]
    assert 0.8 < usual_s[0] / usual_s[1] < 1.25
    async with build(length_scale=2.0) as slow:
        assert 1.5 < (await speech_of(slow, text)).duration_s / usual_s[0] < 2.5


async def test_the_loudness_can_be_set() -> None:
    async with build(volume=0.1) as quiet:
        samples = np.frombuffer((await speech_of(quiet, "Hello there.")).pcm, "<i2")
    assert 2_000 < np.abs(samples).max() < 4_000


async def test_the_switch_stops_a_synthesis_in_the_middle_of_a_piece(tts: PiperTTS) -> None:
    text = "it was the age of wisdom, it was the age of foolishness, it was the epoch of belief, it was"
    begin = time.perf_counter()
    await speech_of(tts, text)
    whole_s = time.perf_counter() - begin
    async with build(workers=1) as alone:
        with anyio.move_on_after(whole_s * 0.2):
            await speech_of(alone, text)
        begin = time.perf_counter()
        await speech_of(alone, "a")
        assert time.perf_counter() - begin < whole_s * 0.8


async def test_what_it_says_is_understood_by_the_recogniser_from_every_clip() -> None:
    text = "Please set a timer for ten minutes and remind me to call my mother."
    async with build(noise_scale=0, noise_w_scale=0) as even:  # the same sound each time
        speech = await speech_of(even, text)
    site = Site("stt", "faster_whisper", logging.getLogger(__name__))
    async with whisper.make_stt(whisper.FasterWhisperOptions(threads=1), site) as stt:
        for container in CLIPS:
            clip = encode(speech.pcm, speech.rate_hz, container)
            transcript = await stt.recognize(decode(clip, max_s=60), TranscriptionSettings())
            heard = re.sub(r"\b10\b", "ten", transcript.text.lower())
            assert re.findall(r"[a-z]+", heard) == re.findall(r"[a-z]+", text.lower()), container


async def test_what_it_says_is_in_no_log(tts: PiperTTS, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        await speech_of(tts, "Rosebud ʘ.")
    assert "osebud" not in caplog.text
    assert "ʘ" not in caplog.text


def test_a_voice_that_was_not_fetched_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JACKFIELD_MODELS", str(tmp_path))
    with pytest.raises(ModelMissing, match="jackfield models fetch piper-en-us-joe"):
        build()


async def test_a_voice_without_its_description_is_refused(tmp_path: Path) -> None:
    (tmp_path / "voice.onnx").touch()
    with pytest.raises(PluginCannotStart, match=r"tts\.options\.config.*voice\.onnx\.json"):
        async with build(model=str(tmp_path / "voice.onnx")):
            pass


async def test_a_damaged_voice_is_refused(tmp_path: Path) -> None:
    shutil.copy(f"{locate('piper-en-us-joe')}.json", tmp_path / "voice.onnx.json")
    (tmp_path / "voice.onnx").write_bytes(b"damaged")
    with pytest.raises(PluginCannotStart, match="cannot be loaded"):
        async with build(model=str(tmp_path / "voice.onnx")):
            pass


async def test_a_voice_that_would_download_its_reader_is_refused(tmp_path: Path) -> None:
    description = json.loads(Path(f"{locate('piper-en-us-joe')}.json").read_text())
    (tmp_path / "voice.onnx.json").write_text(json.dumps({**description, "phoneme_type": "pinyin"}))
    (tmp_path / "voice.onnx").touch()
    with pytest.raises(PluginCannotStart, match="pinyin"):
        async with build(model=str(tmp_path / "voice.onnx")):
            pass


async def test_it_cannot_speak_before_it_is_entered() -> None:
    with pytest.raises(RuntimeError, match="entered"):
        await speech_of(build(), "Hello.")
