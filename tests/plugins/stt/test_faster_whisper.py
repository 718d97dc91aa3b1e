"""The plugin `faster_whisper` with the real model and people's voices."""

from __future__ import annotations

import importlib.util
import logging
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import jiwer
import numpy as np
import pytest

from jackfield import Site
from jackfield.audio.decode import decode
from jackfield.audio.resample import resample
from jackfield.audio.sniff import Container
from jackfield.contracts.stt import STT_RATE_HZ, TranscriptionSettings
from jackfield.errors import PluginCannotStart
from jackfield.models import ModelMissing, is_fetched
from jackfield.testing import STTSuite
from jackfield.testing.recordings import record
from jackfield_stt_faster_whisper import FasterWhisperOptions, FasterWhisperSTT, make_stt, plugin_info
from tests.voices import recording, spoken_text, words

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

MOST_WORD_ERRORS = 0.10
ENGLISH = TranscriptionSettings(language="en-GB")

PHRASES_S = (
    (0.92, 4.77),
    (4.72, 6.37),
    (6.39, 8.39),
    (8.53, 10.47),
    (10.48, 12.96),
    (13.17, 16.87),
    (17.27, 20.64),
    (20.95, 24.19),
    (24.37, 26.21),
    (26.29, 28.45),
)
"""The first phrases of two_cities, as a call cuts them: with a little silence at both ends."""

PARTS = ("faster_whisper", "moonshine_voice")  # of the second only the recordings, not the code
if not os.environ.get("CI"):
    if any(importlib.util.find_spec(part) is None for part in PARTS):
        pytest.skip(f"Needs {' and '.join(PARTS)}.", allow_module_level=True)
    if not is_fetched("whisper-tiny.en"):
        pytest.skip("Needs a model: jackfield models fetch whisper-tiny.en", allow_module_level=True)


def seconds(pcm: bytes, start_s: float, end_s: float) -> bytes:
    """Cut a piece out of PCM for the recogniser."""
    return pcm[int(start_s * STT_RATE_HZ) * 2 : int(end_s * STT_RATE_HZ) * 2]


def build(**options: object) -> FasterWhisperSTT:
    settings = FasterWhisperOptions.model_validate({"threads": 1, **options})
    return make_stt(settings, Site("stt", "faster_whisper", logging.getLogger(__name__)))


@pytest.fixture(scope="module")
async def stt() -> AsyncIterator[FasterWhisperSTT]:
    """The recogniser, loaded once."""
    async with build() as stt:
        yield stt


class TestFasterWhisper(STTSuite):
    capabilities = plugin_info().capabilities(FasterWhisperOptions())
    speech = seconds(recording("two_cities"), 0, 3.5)
    expected_words = ("best", "times")


@pytest.mark.parametrize(
    ("container", "name"),
    [("webm", "two_cities"), *((each, "endgame_nagg_nell") for each in ("ogg", "mp4", "mp3", "wav"))],
)
async def test_a_person_is_understood_from_every_container(
    stt: FasterWhisperSTT, container: Container, name: str
) -> None:
    upload = record(recording(name, 48_000), container, rate_hz=48_000)
    transcript = await stt.recognize(decode(upload, max_s=300), ENGLISH)
    said = spoken_text(name)
    assert jiwer.wer(words(said), words(transcript.text)) < MOST_WORD_ERRORS


async def test_a_short_window_hears_the_same_words_sooner(
    stt: FasterWhisperSTT,
) -> None:
    speech = seconds(recording("two_cities"), 0.5, 6.8)
    async with build(fast=False) as thorough:
        took_s = {}
        heard = {}
        for name, recogniser in (("fast", stt), ("thorough", thorough)):
            await recogniser.recognize(speech, ENGLISH)
            begin = time.perf_counter()
            heard[name] = words((await recogniser.recognize(speech, ENGLISH)).text)
            took_s[name] = time.perf_counter() - begin
    assert heard["fast"] == heard["thorough"]
    assert took_s["fast"] < took_s["thorough"] * 0.75


@pytest.mark.parametrize(
    ("start_s", "said"),
    [(0.74, "it was the best of times it was the"), (2.59, "it was the worst of times")],
)
async def test_what_a_short_window_would_repeat_is_heard_in_the_whole_one(
    stt: FasterWhisperSTT, start_s: float, said: str
) -> None:
    speech = seconds(recording("two_cities"), start_s, start_s + 2.6)
    transcript = await stt.recognize(speech, TranscriptionSettings(language="en", gated=True))
    assert words(transcript.text) == said


async def test_the_last_words_of_somebody_quick_are_heard(stt: FasterWhisperSTT) -> None:
    read_aloud = seconds(recording("two_cities"), 0.5, 12.9)
    quick = resample(read_aloud, round(STT_RATE_HZ * 1.45), STT_RATE_HZ)
    assert "it was the epoch of belief it was the epoch of" in words(
        (await stt.recognize(quick, ENGLISH)).text
    )


@pytest.mark.parametrize("gated", [False, True], ids=["all_sound", "gated"])
async def test_phrases_are_understood_one_by_one(stt: FasterWhisperSTT, gated: bool) -> None:
    speech, heard = recording("two_cities"), []
    for start_s, end_s in PHRASES_S:
        settings = TranscriptionSettings("en", gated=gated)
        heard.append((await stt.recognize(seconds(speech, start_s, end_s), settings)).text)
    expected = words(spoken_text("two_cities")).partition(" in short")[0]
    assert jiwer.wer(expected, words(" ".join(heard))) < 0.05


@pytest.mark.parametrize(("start_s", "end_s", "said"), [(1.3, 1.95, "yes"), (3.67, 4.35, "yes")])
async def test_a_single_word_is_understood(
    stt: FasterWhisperSTT, start_s: float, end_s: float, said: str
) -> None:
    speech = seconds(recording("endgame_nagg_nell"), start_s, end_s)
    transcript = await stt.recognize(speech, TranscriptionSettings("en", gated=True))
    assert words(transcript.text) == said


async def test_speech_is_not_looked_for_again_when_a_detector_gates_the_sound(stt: FasterWhisperSTT) -> None:
    speech = seconds(recording("two_cities"), 0.5, 2.5)
    pause = bytes(2 * 3 * STT_RATE_HZ)
    assert (await stt.recognize(pause + speech, TranscriptionSettings("en"))).start_s > 2
    assert (await stt.recognize(pause + speech, TranscriptionSettings("en", gated=True))).start_s == 0


@pytest.mark.parametrize(
    "sound", ["faint_noise", "loud_noise", "hum", "tone", "chord", "clicks", "silence", "nothing"]
)
async def test_sound_without_speech_has_no_words(stt: FasterWhisperSTT, sound: str) -> None:
    length = 4 * STT_RATE_HZ
    at_s, chance = np.arange(length) / STT_RATE_HZ, np.random.default_rng(1)
    samples = {
        "faint_noise": chance.normal(0, 0.01, length),
        "loud_noise": chance.normal(0, 0.1, length),
        "hum": 0.1 * np.sin(2 * np.pi * 50 * at_s),
        "tone": 0.3 * np.sin(2 * np.pi * 440 * at_s),
        "chord": np.sum([0.1 * np.sin(2 * np.pi * hz * at_s) for hz in (262, 330, 392)], axis=0),
        "clicks": 0.8 * (chance.random(length) < 0.0005),
        "silence": np.zeros(length),
        "nothing": np.zeros(0),
    }[sound]
    pcm = (np.clip(samples, -1, 1) * 32_767).astype("<i2").tobytes()
    assert (await stt.recognize(pcm, ENGLISH)).text == ""


async def test_silence_round_the_speech_is_not_heard(stt: FasterWhisperSTT) -> None:
    speech = seconds(recording("two_cities"), 0.92, 6.37)
    pause = bytes(2 * 15 * STT_RATE_HZ)
    alone = await stt.recognize(speech, ENGLISH)
    within = await stt.recognize(pause + speech + pause, ENGLISH)
    assert words(within.text) == words(alone.text)
    assert 14 < within.start_s < 16
    assert 20 < within.end_s < 22


async def test_two_at_once_do_not_mix(stt: FasterWhisperSTT) -> None:
    cuts = {
        "cities": seconds(recording("two_cities"), 0, 6.8),
        "endgame": seconds(recording("beckett"), 0, 9),
    }
    alone = {name: (await stt.recognize(pcm, ENGLISH)).text for name, pcm in cuts.items()}
    together: dict[str, str] = {}

    async def listen(name: str) -> None:
        together[name] = (await stt.recognize(cuts[name], ENGLISH)).text

    async with anyio.create_task_group() as group:
        for name in cuts:
            group.start_soon(listen, name)
    assert together == alone


async def test_a_long_recognition_that_is_cancelled_stops_at_the_next_window() -> None:
    minutes = recording("two_cities") * 5
    async with build(workers=1) as stt:
        begin = time.perf_counter()
        with anyio.move_on_after(0.5):
            await stt.recognize(minutes, ENGLISH)
        assert time.perf_counter() - begin < 1.5
        begin = time.perf_counter()
        await stt.recognize(seconds(minutes, 0, 2), ENGLISH)
        assert time.perf_counter() - begin < 8


async def test_the_event_loop_is_free_while_it_listens(stt: FasterWhisperSTT) -> None:
    ticks = 0
    listening = anyio.Event()

    async def tick() -> None:
        nonlocal ticks
        while not listening.is_set():
            await anyio.sleep(0.005)
            ticks += 1

    async with anyio.create_task_group() as group:
        group.start_soon(tick)
        await stt.recognize(recording("beckett"), ENGLISH)
        listening.set()
    assert ticks > 10


def test_a_model_that_was_not_fetched_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JACKFIELD_MODELS", str(tmp_path))
    with pytest.raises(ModelMissing, match=r"jackfield models fetch whisper-tiny\.en"):
        build()


async def test_a_folder_without_a_tokenizer_is_refused_instead_of_downloading_one(tmp_path: Path) -> None:
    for name in ("model.bin", "config.json"):
        (tmp_path / name).touch()
    with pytest.raises(PluginCannotStart, match=r"stt\.options\.model.*tokenizer\.json"):
        async with build(model=str(tmp_path)):
            pass


async def test_a_damaged_model_is_refused(tmp_path: Path) -> None:
    for name in ("model.bin", "config.json", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(PluginCannotStart, match="cannot be loaded"):
        async with build(model=str(tmp_path)):
            pass


async def test_it_cannot_listen_before_it_is_entered() -> None:
    with pytest.raises(RuntimeError, match="entered"):
        await build().recognize(b"\0\0", ENGLISH)
