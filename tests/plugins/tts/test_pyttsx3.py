"""The plugin `pyttsx3` with the real eSpeak."""

from __future__ import annotations

import importlib.util
import logging
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import numpy as np
import psutil
import pytest

import jackfield_tts_pyttsx3 as plugin
from jackfield import Site
from jackfield.contracts.tts import SpeechSettings, Voice
from jackfield.errors import PluginCannotStart
from jackfield.processes import CannotStart, WorkerProcesses
from jackfield.testing import TTSSuite
from jackfield.testing.tts import speech_of
from jackfield.testing.tts_pieces import Speech
from jackfield_tts_pyttsx3 import Pyttsx3Options, Pyttsx3TTS, make_tts, plugin_info
from jackfield_tts_pyttsx3.text import pieces, speakable
from jackfield_tts_pyttsx3.voices import EspeakVoice, Voices

if importlib.util.find_spec("pyttsx3") is None and not os.environ.get("CI"):
    pytest.skip("Needs pyttsx3.", allow_module_level=True)

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

SENTENCE = "It was the age of wisdom, and it was the age of foolishness."
ENGINE = Path(plugin.__file__).with_name("engine.py")


def build(**options: object) -> Pyttsx3TTS:
    settings = Pyttsx3Options.model_validate(options)
    return make_tts(settings, Site("tts", "pyttsx3", logging.getLogger(__name__)))


@pytest.fixture(scope="module")
async def tts() -> AsyncIterator[Pyttsx3TTS]:
    """The voice, started once."""
    async with build() as tts:
        yield tts


@pytest.fixture
def elsewhere(tts: Pyttsx3TTS) -> list[psutil.Process]:
    """The processes that were there before the test."""
    return engines()


def engines() -> list[psutil.Process]:
    """Give the processes of this one in which eSpeak speaks."""
    return [one for one in psutil.Process().children() if str(ENGINE) in one.cmdline()]


def same_length(one: Speech, other: Speech) -> bool:
    """Whether they are the same words at the same rate; eSpeak lets the pitch waver by chance."""
    return abs(one.duration_s / other.duration_s - 1) < 0.01


def pitch_hz(speech: Speech) -> float:
    """Measure how high the voice is: the median over the loud parts."""
    window, least, most = 2048, speech.rate_hz // 400, speech.rate_hz // 70
    samples = np.frombuffer(speech.pcm, "<i2").astype(np.float64)
    heard = []
    for part in np.split(samples, range(window, len(samples), window)):
        if len(part) == window and np.abs(part).max() > 3_000:
            alike = np.correlate(part, part, "full")[window - 1 :]
            heard.append(speech.rate_hz / (least + int(np.argmax(alike[least:most]))))
    return float(np.median(heard))


class TestPyttsx3(TTSSuite):
    capabilities = plugin_info().capabilities(Pyttsx3Options())
    long_text = TTSSuite.long_text * 10


async def test_the_rate_changes_the_duration() -> None:
    duration_s = {}
    for rate in (100, 150, 300):
        async with build(rate=rate) as tts:
            duration_s[rate] = (await speech_of(tts, SENTENCE)).duration_s
    assert 1.2 < duration_s[100] / duration_s[150] < 1.8
    assert 0.4 < duration_s[300] / duration_s[150] < 0.7


async def test_the_speed_multiplies_the_rate(tts: Pyttsx3TTS) -> None:
    async with build(rate=300) as other:
        quick = await speech_of(other, SENTENCE)
    assert same_length(await speech_of(tts, SENTENCE, SpeechSettings(speed=2.0)), quick)


@pytest.mark.parametrize("speed", [0.01, 100.0])
async def test_a_speed_beyond_all_bounds_is_the_nearest_one_possible(tts: Pyttsx3TTS, speed: float) -> None:
    assert 0.5 < (await speech_of(tts, SENTENCE, SpeechSettings(speed=speed))).duration_s < 12


async def test_the_rate_holds_for_every_sentence_whoever_speaks_between(tts: Pyttsx3TTS) -> None:
    settings = {speed: SpeechSettings(speed=speed) for speed in (0.6, 1.0, 2.0)}
    first = {speed: await speech_of(tts, SENTENCE, how) for speed, how in settings.items()}
    for _ in range(20):
        for speed, how in settings.items():
            assert same_length(await speech_of(tts, SENTENCE, how), first[speed])


async def test_the_volume_changes_the_loudness(tts: Pyttsx3TTS) -> None:
    async with build(volume=0.3) as other:
        quiet = np.frombuffer((await speech_of(other, SENTENCE)).pcm, "<i2")
    usual = np.frombuffer((await speech_of(tts, SENTENCE)).pcm, "<i2")
    assert np.abs(quiet).max() < 0.5 * np.abs(usual).max()


@pytest.mark.parametrize("voice", [Voice(language="de-DE"), Voice(name="Polish")], ids=["language", "name"])
async def test_another_language_reads_otherwise(tts: Pyttsx3TTS, voice: Voice) -> None:
    usual, other = await speech_of(tts, SENTENCE), await speech_of(tts, SENTENCE, SpeechSettings(voice))
    assert other.duration_s > 1.1 * usual.duration_s


async def test_a_woman_has_a_higher_voice(tts: Pyttsx3TTS) -> None:
    man = await speech_of(tts, SENTENCE, SpeechSettings(Voice(gender="male")))
    woman = await speech_of(tts, SENTENCE, SpeechSettings(Voice(gender="female")))
    assert pitch_hz(woman) > 1.5 * pitch_hz(man)


async def test_voices_after_each_other_keep_their_rate(tts: Pyttsx3TTS) -> None:
    german = SpeechSettings(Voice(language="de"))
    first = await speech_of(tts, SENTENCE), await speech_of(tts, SENTENCE, german)
    for _ in range(10):
        assert same_length(await speech_of(tts, SENTENCE), first[0])
        assert same_length(await speech_of(tts, SENTENCE, german), first[1])


def file(name: str, *languages: str) -> EspeakVoice:
    return EspeakVoice(name, f"Voice {name}", languages)


VOICES = [
    file("roa/fr-be", "fr-be"),
    file("roa/fr", "fr-fr"),
    file("gmw/en", "en-gb"),
    file("gmw/en-us", "en-us"),
    file("sit/cmn", "cmn"),
]


@pytest.mark.parametrize(
    ("usual", "voice", "told"),
    [
        ("en-us", Voice(), "gmw/en-us"),
        ("en-us+f3", Voice(), "gmw/en-us+f3"),
        ("gmw/EN", Voice(), "gmw/en"),
        ("en-us", Voice(language="en-GB"), "gmw/en"),
        ("en-us", Voice(language="en"), "gmw/en-us"),
        ("en-us", Voice(language="en-AU"), "gmw/en-us"),
        ("en-us", Voice(language="fr"), "roa/fr"),
        ("en-us", Voice(language="fr-CA"), "roa/fr"),
        ("en-us", Voice(language="fr_BE"), "roa/fr-be"),
        ("en-us", Voice(language="zh-CN"), "sit/cmn"),
        ("en-us", Voice(language="tlh"), "gmw/en-us"),
        ("en-us", Voice(language="fr", gender="female"), "roa/fr+f2"),
        ("en-us+f3", Voice(gender="female"), "gmw/en-us+f3"),
        ("en-us+f3", Voice(gender="male"), "gmw/en-us"),
        ("en-us+m3", Voice(gender="male"), "gmw/en-us+m3"),
        ("en-us", Voice(name="Voice roa/fr+m1", language="en"), "roa/fr+m1"),
        ("en-us+f3", Voice(name="alloy", language="fr"), "roa/fr+f3"),
    ],
)
def test_the_nearest_voice_is_chosen(usual: str, voice: Voice, told: str) -> None:
    assert Voices(VOICES, usual).choose(voice) == told


async def test_every_voice_of_every_language_speaks(tts: Pyttsx3TTS) -> None:
    known = tts._voices
    assert known is not None
    languages = sorted({one for voice in known._voices for one in voice.languages})
    assert len(languages) > 100
    for language in languages:
        assert (await speech_of(tts, "1 2", SpeechSettings(Voice(language=language)))).pcm, language


@pytest.mark.parametrize("text", ["...", "!? —", "\u200d\x00"])
async def test_signs_without_a_word_have_nothing_to_say(tts: Pyttsx3TTS, text: str) -> None:
    assert (await speech_of(tts, text)).pcm == b""


async def test_what_stands_behind_a_null_is_spoken(tts: Pyttsx3TTS) -> None:
    whole = await speech_of(tts, "one two three four")
    assert (await speech_of(tts, "one two\x00three four")).duration_s > 0.8 * whole.duration_s


def test_nothing_is_lost_where_a_text_is_cut() -> None:
    text = "He said “yes.” " + SENTENCE * 9 + " " + "word " * 90 + "x" * 450 + "。你好。" + "\n\n3 + 4"
    cut = list(pieces(speakable(text)))
    assert "".join("".join(cut).split()) == "".join(text.split())
    assert max(map(len, cut)) <= 200


def in_a_process_of_its_own(code: str) -> None:
    """Run code in which `engine` is the program, `_espeak` pyttsx3's view of the library."""
    begin = f"""
import os, sys, types
sys.path.insert(0, {str(ENGINE.parent)!r})
import engine
engine._load_library()
from pyttsx3.drivers import _espeak, espeak
"""
    end = "\nos._exit(0)  # eSpeak does not like to be ended otherwise\n"
    subprocess.run(
        [sys.executable, "-c", begin + textwrap.dedent(code) + end], check=True, stdout=subprocess.DEVNULL
    )


def test_the_end_is_waited_for_when_pyttsx3_says_too_early_that_it_is_done() -> None:
    in_a_process_of_its_own("""
        espeak.time = types.SimpleNamespace(sleep=lambda _s: None)
        answer, pcm = engine.Speaker()._speak("It was the age of wisdom. " * 7)
        assert len(pcm) / 2 / answer["rate_hz"] > 9
    """)


def test_espeak_is_told_the_size_that_the_text_has() -> None:
    in_a_process_of_its_own("""
        told, synth = [], _espeak.cSynth
        _espeak.cSynth = lambda text, size, *others: told.append(size) or synth(text, size, *others)
        engine.Speaker()._speak("Grüße")
        assert told == [len("Grüße".encode()) + 1]
    """)


async def test_a_long_text_begins_to_sound_before_it_is_done(tts: Pyttsx3TTS) -> None:
    text = " ".join([SENTENCE] * 20)
    synthesis = tts.synthesize(text, SpeechSettings())
    first = await anext(synthesis)
    await synthesis.aclose()
    assert isinstance(first, bytes)
    assert len(first) / 2 / tts.rate_hz(Voice()) < 16


async def test_many_at_once_get_their_own_words(tts: Pyttsx3TTS) -> None:
    texts = ["one " * number for number in range(1, 20)]
    alone = {text: await speech_of(tts, text) for text in texts}
    together: dict[str, Speech] = {}

    async def speak(text: str) -> None:
        together[text] = await speech_of(tts, text)

    async with anyio.create_task_group() as tasks:
        for text in texts:
            tasks.start_soon(speak, text)
    assert [text for text in texts if not same_length(together[text], alone[text])] == []


async def test_short_texts_do_not_wait_for_the_end_of_a_long_one(tts: Pyttsx3TTS) -> None:
    finished: list[str] = []

    async def speak(name: str, text: str) -> None:
        await speech_of(tts, text)
        finished.append(name)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(speak, "long", " ".join([SENTENCE] * 100))
        tasks.start_soon(speak, "short", "Yes.")
    assert finished == ["short", "long"]


async def test_the_event_loop_is_free_while_it_speaks(tts: Pyttsx3TTS) -> None:
    longest_s, speaking = 0.0, True

    async def tick() -> None:
        nonlocal longest_s
        while speaking:
            begin = time.perf_counter()
            await anyio.sleep(0.001)
            longest_s = max(longest_s, time.perf_counter() - begin)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        begin = time.perf_counter()
        await speech_of(tts, " ".join([SENTENCE] * 100))
        took_s, speaking = time.perf_counter() - begin, False
    assert longest_s < took_s / 2


async def test_a_killed_engine_is_started_again(elsewhere: list[psutil.Process]) -> None:
    async with build() as tts:
        whole = await speech_of(tts, SENTENCE)
        (engine,) = (one for one in engines() if one not in elsewhere)
        engine.kill()
        while engine.status() != psutil.STATUS_ZOMBIE:
            await anyio.sleep(0.001)
        assert same_length(await speech_of(tts, SENTENCE), whole)
        assert engine not in engines()
    assert engines() == elsewhere


async def test_neither_process_nor_file_is_left(
    elsewhere: list[psutil.Process], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    async with build() as tts:
        for _ in range(3):
            await speech_of(tts, SENTENCE)
            with anyio.move_on_after(0.01):
                await speech_of(tts, " ".join([SENTENCE] * 30))
        assert list(tmp_path.iterdir()) == []
    assert engines() == elsewhere
    assert [one for one in psutil.Process().children() if one.status() == psutil.STATUS_ZOMBIE] == []


async def test_the_server_itself_never_loads_espeak(tts: Pyttsx3TTS) -> None:
    await speech_of(tts, SENTENCE)
    maps = Path("/proc/self/maps").read_text()
    assert "espeak" not in maps.replace("espeakbridge", "")  # Piper's, in tests that ran before


async def test_what_it_says_is_in_no_log(tts: Pyttsx3TTS, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        await speech_of(tts, "Rosebud.")
    assert "osebud" not in caplog.text


async def test_an_unknown_voice_is_refused_with_names_like_it(elsewhere: list[psutil.Process]) -> None:
    with pytest.raises(PluginCannotStart, match=r"tts\.options\.voice.*'en-uk'.*en-us"):
        async with build(voice="en-uk"):
            pass
    assert engines() == elsewhere


async def test_without_espeak_the_command_that_brings_it_is_named(tmp_path: Path) -> None:
    program = tmp_path / "without.py"
    program.write_text(
        textwrap.dedent(f"""
        import sys
        sys.modules["espeakng_loader"] = None
        sys.path.insert(0, {str(ENGINE.parent)!r})
        import engine
        engine._LIBRARY = "libespeak-ng.so.0"
        engine.serve(engine._start)
        """)
    )
    with pytest.raises(CannotStart) as caught:
        async with WorkerProcesses(program, 1):
            pass
    assert "pip install 'jackfield[pyttsx3]'" in caught.value.fix
    assert "apt-get install libespeak-ng1" in caught.value.fix


def test_plugin_info_needs_neither_sdk_nor_library() -> None:
    code = "import sys, jackfield_tts_pyttsx3 as it; it.plugin_info(); assert 'pyttsx3' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_it_cannot_speak_before_it_is_entered() -> None:
    with pytest.raises(RuntimeError, match="entered"):
        await speech_of(build(), "Hello.")
    with pytest.raises(RuntimeError, match="entered"):
        build().rate_hz(Voice())
