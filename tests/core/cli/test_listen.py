"""`jackfield listen`."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from jackfield.audio.pcm import WIDTH_BYTES
from jackfield.audio.sniff import CONTAINERS, Container
from jackfield.cli.transcript_lines import TranscriptLines
from jackfield.testing.recordings import record
from tests.core.cli.sound_programs import SoundPrograms
from tests.core.shop import PluginShop

pytestmark = pytest.mark.timeout(60)

Invoke = Callable[..., Result]

SCRIPTED = '[stt]\nuse = "scripted"\n'
RATE_HZ = 16_000
SECOND = b"\x00\x10" * RATE_HZ
"""A second of PCM that is not silent."""


@pytest.fixture(autouse=True)
def config(tmp_path: Path) -> Path:
    """The configuration that is used when none is named: the transcript says how long the sound was."""
    path = tmp_path / "jackfield.toml"
    path.write_text(SCRIPTED)
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A recording of a second."""
    path = tmp_path / "clip.wav"
    path.write_bytes(record(SECOND, "wav", rate_hz=RATE_HZ))
    return path


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_recording_in_any_container_is_a_line(invoke: Invoke, tmp_path: Path, container: Container) -> None:
    (tmp_path / "clip").write_bytes(record(SECOND * 3, container, rate_hz=48_000))
    shown = invoke("listen", "clip")
    assert (shown.exit_code, shown.stdout) in [(0, "1.0 seconds of sound\n"), (0, "1.1 seconds of sound\n")]


def test_the_times_are_on_standard_error(invoke: Invoke, clip: Path) -> None:
    loading, told = invoke("listen", clip).stderr.splitlines()
    assert loading == "Loading scripted ..."
    assert told.startswith("(0.0 to 1.0 s, understood in 0.")
    assert "real-time factor 0." in told


def test_json_holds_text_times_confidence_and_language(invoke: Invoke, clip: Path) -> None:
    line = json.loads(invoke("listen", "--json", "--language", "en-GB", clip).stdout)
    assert line == {
        "text": "1.0 seconds of sound",
        "start_s": 0.0,
        "end_s": 1.0,
        "confidence": 1.0,
        "language": "en-GB",
    }


def test_the_language_is_otherwise_that_of_the_assistant(invoke: Invoke, clip: Path, config: Path) -> None:
    config.write_text(SCRIPTED + '[assistant]\nlanguage = "pl"\n')
    assert json.loads(invoke("listen", "--json", clip).stdout)["language"] == "pl"


def test_a_recording_may_come_from_standard_input(invoke: Invoke, clip: Path) -> None:
    assert invoke("listen", "-", stdin=clip.read_bytes()).stdout == "1.0 seconds of sound\n"


def test_what_is_said_into_a_pipe_is_heard_from_it(tmp_path: Path, config: Path) -> None:
    config.write_text(SCRIPTED + '[tts]\nuse = "tone"\noptions.character_ms = 100\n')
    jackfield = f'"{sys.executable}" -m jackfield'
    done = subprocess.run(
        f"{jackfield} say -o - hello you | {jackfield} listen -",
        shell=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "0.9 seconds of sound\n")


def test_silence_is_no_line_and_exit_code_1(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "clip").write_bytes(record(bytes(RATE_HZ), "wav", rate_hz=RATE_HZ))
    shown = invoke("listen", "clip")
    assert (shown.exit_code, shown.stdout) == (1, "")
    assert shown.stderr.splitlines()[-1] == "No words could be heard."


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["jackfield.toml"], "[jackfield.toml] The bytes are no recording in a known container."),
        (["cut.wav"], "[cut.wav] The wav recording "),
        (["nowhere.wav"], "'nowhere.wav' does not exist."),
        (["--seconds", "3", "clip.wav"], "--seconds is for the microphone"),
        (["--stt", "aunt", "clip.wav"], '[stt.named] No speech recogniser is named "aunt".'),
    ],
)
def test_what_cannot_be_done_is_told_with_exit_code_2(
    invoke: Invoke, tmp_path: Path, clip: Path, arguments: list[str], told: str
) -> None:
    (tmp_path / "cut.wav").write_bytes(clip.read_bytes()[:40])
    shown = invoke("listen", *arguments)
    assert (shown.exit_code, shown.stdout, told in shown.stderr) == (2, "", True)
    assert "Loading" not in shown.stderr


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        ("audio_seconds = 0.5", "longer than 0.5 s. Raise limits.audio_seconds, or cut it."),
        ("audio_bytes = 1000", "larger than 1000 bytes. Raise limits.audio_bytes, or cut it."),
    ],
)
def test_the_limits_of_clips_hold(invoke: Invoke, clip: Path, config: Path, limit: str, told: str) -> None:
    config.write_text(f"{SCRIPTED}[limits]\n{limit}\n")
    shown = invoke("listen", clip)
    assert (shown.exit_code, told in shown.stderr) == (2, True)


def test_a_file_without_a_recogniser_is_one_line(invoke: Invoke, clip: Path, config: Path) -> None:
    config.write_text("")
    shown = invoke("listen", clip)
    told = "jackfield: [stt] No speech recogniser is configured. Add [stt] with `use`.\n"
    assert (shown.exit_code, shown.stderr) == (2, told)


FAILING = """
from jackfield.contracts.stt import WholeUtteranceSTT
from jackfield.errors import ProviderUnavailable

class STT(WholeUtteranceSTT):
    async def recognize(self, pcm, settings):
        raise ProviderUnavailable("out of order")

@hookimpl
def plugin_info():
    return PluginInfo("stt", "failing", "A test.")

@hookimpl
def make_stt(options, site):
    return STT()
"""


def test_a_recogniser_that_fails_is_told(invoke: Invoke, clip: Path, config: Path, shop: PluginShop) -> None:
    shop.add("stt", "failing", FAILING)
    config.write_text('[stt]\nuse = "failing"\n')
    shown = invoke("listen", clip)
    assert (shown.exit_code, shown.stderr.splitlines()[-1]) == (2, "jackfield: out of order")


def test_the_next_of_a_chain_hears_when_the_first_fails(
    invoke: Invoke, clip: Path, config: Path, shop: PluginShop
) -> None:
    shop.add("stt", "failing", FAILING)
    config.write_text('[stt]\nuse = "failing"\n[[stt.fallback]]\nuse = "scripted"\n')
    shown = invoke("listen", clip)
    assert (shown.exit_code, shown.stdout) == (0, "1.0 seconds of sound\n")


@pytest.fixture
def microphone(programs: SoundPrograms, monkeypatch: pytest.MonkeyPatch) -> SoundPrograms:
    """A machine that records two seconds and then stops by itself."""
    programs.microphone(SECOND * 2)
    monkeypatch.setenv("PATH", programs.path)
    return programs


def test_the_microphone_is_heard_at_16000_hz(invoke: Invoke, microphone: SoundPrograms) -> None:
    assert invoke("listen").stdout == "2.0 seconds of sound\n"
    assert microphone.arguments.read_text() == "-q -t raw -f S16_LE -c 1 -r 16000\n"


def test_the_microphone_is_heard_for_so_many_seconds(invoke: Invoke, microphone: SoundPrograms) -> None:
    microphone.microphone(SECOND * 2, goes_on=True)
    assert invoke("listen", "--seconds", "1.5").stdout == "1.5 seconds of sound\n"


@pytest.mark.usefixtures("programs")
def test_without_a_recorder_it_says_what_to_install_and_what_works(invoke: Invoke) -> None:
    shown = invoke("listen")
    assert shown.exit_code == 2
    assert shown.stderr.count("\n") == 1
    assert "No program that records sound is installed; looked for arecord, parec, " in shown.stderr
    assert "jackfield listen FILE" in shown.stderr


def test_a_recorder_that_fails_is_quoted(invoke: Invoke, microphone: SoundPrograms) -> None:
    microphone.add("arecord", "echo no such card >&2; exit 3")
    shown = invoke("listen")
    assert shown.exit_code == 2
    assert '[microphone] "arecord" ended with exit code 3: no such card.' in shown.stderr


def test_a_recogniser_that_fails_ends_the_recording(
    invoke: Invoke, config: Path, microphone: SoundPrograms, shop: PluginShop
) -> None:
    shop.add("stt", "failing", FAILING)
    config.write_text('[stt]\nuse = "failing"\n[call]\nutterance_seconds = 0.5\n')
    microphone.microphone(SECOND, goes_on=True)
    shown = invoke("listen")
    assert (shown.exit_code, shown.stderr.splitlines()[-1]) == (2, "jackfield: out of order")


def test_an_interrupt_ends_the_recording_and_a_terminal_shows_the_words_as_they_come(
    programs: SoundPrograms, tmp_path: Path, config: Path
) -> None:
    script = 'options.partials = true\noptions.transcripts = ["one two three four"]\n'
    config.write_text(SCRIPTED + script)
    programs.microphone(SECOND[: RATE_HZ * WIDTH_BYTES // 2], goes_on=True)  # two words have come by then
    master, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "jackfield", "listen"],
        cwd=tmp_path,
        env=os.environ | {"PATH": programs.path},
        stdout=subprocess.PIPE,
        stderr=terminal,
    ) as process:
        shown = b""
        while b"one two" not in shown:
            shown += os.read(master, 1024)
        process.send_signal(signal.SIGINT)
        final, _ = process.communicate(timeout=8)
    os.close(terminal)
    os.close(master)
    assert b"\r\x1b[Kone two" in shown
    assert (process.returncode, final) == (0, b"one two three four\n")


def test_words_that_do_not_fit_the_line_are_left_out_at_the_beginning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "12")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    lines = TranscriptLines(as_json=False)
    lines.guess("one two three\n four")
    lines.guess("東京の天気は")
    shown = capsys.readouterr().err
    assert shown.split("\r\x1b[K") == ["", "…three four", "…京の天気は"]
