"""The plugin `speech_recognition` with the engine `sphinx`, and people's voices."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import jiwer
import numpy as np
import psutil
import pytest

import jackfield_stt_speech_recognition as plugin
from jackfield import Site
from jackfield.contracts.stt import STT_RATE_HZ, Transcript, TranscriptionSettings
from jackfield.errors import PluginCannotLoad, PluginCannotStart, PluginWrongOptions
from jackfield.testing import STTSuite
from jackfield_stt_speech_recognition import SpeechRecognitionOptions, make_stt, plugin_info
from jackfield_stt_speech_recognition.sphinx import SphinxSTT
from tests.voices import recording, spoken_text, words

PARTS = ("speech_recognition", "pocketsphinx", "moonshine_voice")  # of the last only the recordings
if any(importlib.util.find_spec(part) is None for part in PARTS) and not os.environ.get("CI"):
    pytest.skip(f"Needs {', '.join(PARTS)}.", allow_module_level=True)

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

SITE = Site("stt", "speech_recognition", logging.getLogger(__name__))
MOST_WORD_ERRORS = 0.35
"""Sphinx errs at one word in four of a person who reads aloud."""
PROGRAM = Path(plugin.__file__).with_name("decoder.py")


def seconds(start_s: float, end_s: float) -> bytes:
    """Cut a piece out of the recording."""
    return recording("two_cities")[int(start_s * STT_RATE_HZ) * 2 : int(end_s * STT_RATE_HZ) * 2]


PHRASE = seconds(0.92, 4.77)
"""It was the best of times, it was the worst of times."""


def build(**options: object) -> SphinxSTT:
    stt = make_stt(SpeechRecognitionOptions.model_validate(options), SITE)
    assert isinstance(stt, SphinxSTT)
    return stt


async def hear(stt: SphinxSTT, pcm: bytes) -> Transcript:
    return await stt.recognize(pcm, TranscriptionSettings("en-US"))


@pytest.fixture(scope="module")
async def stt() -> AsyncIterator[SphinxSTT]:
    """The recogniser, loaded once."""
    async with build() as stt:
        yield stt


class TestSphinx(STTSuite):
    capabilities = plugin_info().capabilities(SpeechRecognitionOptions())
    speech = PHRASE
    expected_words = ("best", "worst", "times")
    patience_s = 100.0


async def test_a_person_is_understood_in_the_main(stt: SphinxSTT) -> None:
    heard = await hear(stt, recording("endgame_nagg_nell"))
    assert jiwer.wer(words(spoken_text("endgame_nagg_nell")), words(heard.text)) < MOST_WORD_ERRORS


async def test_slow_and_clear_speech_is_understood_better(stt: SphinxSTT) -> None:
    said = words(spoken_text("two_cities")).partition(" it was the season")[0]
    assert jiwer.wer(said, words((await hear(stt, seconds(0, 13))).text)) < 0.25


@pytest.mark.parametrize("sound", ["faint_noise", "silence"])
async def test_sound_without_speech_has_no_words_and_takes_no_time(stt: SphinxSTT, sound: str) -> None:
    chance = np.random.default_rng(1).normal(0, 0.01 if sound == "faint_noise" else 0, 60 * STT_RATE_HZ)
    begin = time.perf_counter()
    heard = await hear(stt, (chance * 32_767).astype("<i2").tobytes())
    assert heard.text == ""
    assert time.perf_counter() - begin < 3


async def test_what_was_heard_before_changes_nothing(stt: SphinxSTT) -> None:
    async with build(workers=1) as fresh:
        first = await hear(fresh, PHRASE)
        for other in (seconds(20.95, 24.19), recording("endgame_nagg_nell")[: 8 * STT_RATE_HZ]):
            await hear(fresh, other)
            assert await hear(fresh, PHRASE) == first
    assert words(first.text) == "it was the best of times it was the worst of times"


async def test_the_model_is_loaded_once_and_not_for_every_utterance(stt: SphinxSTT) -> None:
    begin = time.perf_counter()
    async with build(workers=1) as fresh:
        load_s = time.perf_counter() - begin
        begin = time.perf_counter()
        for _ in range(10):
            await hear(fresh, seconds(1, 1.2))
        assert time.perf_counter() - begin < 10 * load_s / 2


async def test_words_have_their_times_within_the_sound(stt: SphinxSTT) -> None:
    silence = bytes(2 * 2 * STT_RATE_HZ)
    heard = await hear(stt, silence + PHRASE + silence)
    assert 1.5 < heard.start_s < 2.7
    assert 5 < heard.end_s < 6.3


async def test_the_event_loop_is_free_while_it_listens(stt: SphinxSTT) -> None:
    longest_s, listening = 0.0, True

    async def tick() -> None:
        nonlocal longest_s
        while listening:
            begin = time.perf_counter()
            await anyio.sleep(0.001)
            longest_s = max(longest_s, time.perf_counter() - begin)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        begin = time.perf_counter()
        await hear(stt, seconds(0, 9))
        took_s, listening = time.perf_counter() - begin, False
    assert longest_s < took_s / 4


async def test_a_long_clip_that_is_cancelled_frees_its_place_soon() -> None:
    async with build(workers=1) as one:
        begin = time.perf_counter()
        await hear(one, PHRASE)
        usual_s = time.perf_counter() - begin
        with anyio.move_on_after(0.3):
            await hear(one, recording("two_cities") * 5)
        begin = time.perf_counter()
        await hear(one, PHRASE)
        assert time.perf_counter() - begin < 4 * usual_s + 1


async def test_as_many_listen_at_once_as_there_are_workers(stt: SphinxSTT) -> None:
    heard: dict[int, str] = {}

    async def listen(number: int) -> None:
        heard[number] = (await hear(stt, PHRASE if number % 2 else bytes(len(PHRASE)))).text

    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(listen, number)
    assert heard[0] == heard[2] == ""
    assert heard[1] == heard[3] != ""


async def test_a_killed_decoder_is_started_again() -> None:
    async with build(workers=1) as one:
        first = await hear(one, PHRASE)
        known = [child for child in psutil.Process().children() if str(PROGRAM) in child.cmdline()]
        max(known, key=psutil.Process.create_time).kill()
        assert await hear(one, PHRASE) == first


async def test_a_model_in_speech_recognitions_layout_is_used(tmp_path: Path) -> None:
    found = importlib.util.find_spec("speech_recognition")
    assert found is not None
    assert found.origin is not None
    shutil.copytree(Path(found.origin).parent / "pocketsphinx-data" / "en-US", tmp_path / "model")
    async with build(model=tmp_path / "model", language="en-GB", workers=1) as other:
        heard = await hear(other, PHRASE)
    assert words(heard.text) == "it was the best of times it was the worst of times"
    assert heard.language == "en-GB"


async def test_a_damaged_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "acoustic-model").mkdir()
    for name in ("language-model.lm.bin", "pronounciation-dictionary.dict"):
        (tmp_path / name).write_text("damaged")
    with pytest.raises(PluginCannotStart, match="PocketSphinx cannot load the model"):
        async with build(model=tmp_path, workers=1):
            pass


def test_a_language_without_a_model_is_refused_before_anything_starts() -> None:
    with pytest.raises(PluginWrongOptions, match=r"stt\.options\.language.*de-DE.*acoustic-model"):
        build(language="de-DE")


@pytest.mark.parametrize(
    ("engine", "missing", "extra"),
    [
        ("sphinx", "pocketsphinx", "sphinx"),
        ("sphinx", "speech_recognition", "sphinx"),
        ("google", "speech_recognition", "speech-recognition"),
    ],
)
def test_a_missing_library_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, engine: str, missing: str, extra: str
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(plugin, "find_spec", lambda name: None if name == missing else find(name))
    options = SpeechRecognitionOptions.model_validate({"engine": engine})
    with pytest.raises(PluginCannotLoad, match=rf"{missing}.*pip install 'jackfield\[{extra}\]'"):
        make_stt(options, SITE)


def test_plugin_info_needs_no_sdk() -> None:
    code = (
        "import sys, jackfield_stt_speech_recognition as it; it.plugin_info(); "
        "assert not {'speech_recognition', 'pocketsphinx'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
