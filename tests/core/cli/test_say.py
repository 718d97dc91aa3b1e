"""`jackfield say`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from jackfield.audio.decode import decode
from jackfield.audio.encode import FileFormat
from jackfield.audio.pcm import duration_s
from jackfield.audio.sniff import sniff
from tests.core.cli.sound_programs import SoundPrograms
from tests.core.shop import PluginShop

pytestmark = pytest.mark.timeout(60)

Invoke = Callable[..., Result]

TONE = '[tts]\nuse = "tone"\noptions.character_ms = 100\n'
SLOW = TONE + "options.delay_s = 0.2\n"
MANY_WORDS = "many words " * 50
INTERRUPTED = {130, -signal.SIGINT}
"""Exit codes. Python ends `-m` by the signal itself where it came within `exec`, as when a dataclass is made
by an import; a shell says 130 of both."""


@pytest.fixture(autouse=True)
def config(tmp_path: Path) -> Path:
    """The configuration that is used when none is named: a tenth of a second for each character."""
    path = tmp_path / "jackfield.toml"
    path.write_text(TONE)
    return path


def start(folder: Path, *arguments: str, path: str = "") -> subprocess.Popen[bytes]:
    """Run `jackfield say` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "jackfield", "say", *arguments],
        cwd=folder,
        env=os.environ | {"PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("container", ["wav", "mp3", "ogg", "webm"])
def test_the_ending_of_a_file_is_its_format(invoke: Invoke, tmp_path: Path, container: FileFormat) -> None:
    assert invoke("say", "-o", f"hello.{container}", "hello", "you").exit_code == 0
    data = (tmp_path / f"hello.{container}").read_bytes()
    assert sniff(data) == container
    assert duration_s(decode(data, max_s=10), 16_000) == pytest.approx(0.9, abs=0.1)


def test_nothing_is_on_standard_output_and_the_times_are_on_standard_error(invoke: Invoke) -> None:
    shown = invoke("say", "-o", "hello.wav", "hello", "you")
    assert shown.stdout == ""
    loading, told = shown.stderr.splitlines()
    assert loading == "Loading tone ..."
    assert told.startswith("First sound after 0.")
    assert "; 0.9 s of sound in 0." in told
    assert "(real-time factor 0." in told


def length_s(path: Path) -> float:
    return duration_s(decode(path.read_bytes(), max_s=60), 16_000)


def test_the_text_may_be_in_a_file(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello you\n")
    invoke("say", "-o", "hello.wav", "--file", "text")
    assert length_s(tmp_path / "hello.wav") == pytest.approx(0.9)


def test_the_text_may_come_from_standard_input(invoke: Invoke, tmp_path: Path) -> None:
    invoke("say", "-o", "hello.wav", stdin="hello you\n")
    assert length_s(tmp_path / "hello.wav") == pytest.approx(0.9)


def test_every_sentence_is_spoken(invoke: Invoke, tmp_path: Path) -> None:
    invoke("say", "-o", "hello.wav", "Hello you. Who are you? I am.")
    assert length_s(tmp_path / "hello.wav") == pytest.approx(2.7)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["  "], "There is no text to say."),
        (["--file", "jackfield.toml", "hello"], "Give either TEXT or --file."),
        (["-o", "hello.xyz", "hello"], "End the name with one of: .wav, .mp3, .ogg, .webm."),
        (["-o", "nowhere/hello.wav", "hello"], "nowhere is no folder."),
        (["--tts", "aunt", "-o", "hello.wav", "hello"], 'No voice is named "aunt".'),
    ],
)
def test_what_cannot_be_done_is_told_with_exit_code_2(
    invoke: Invoke, tmp_path: Path, arguments: list[str], told: str
) -> None:
    shown = invoke("say", *arguments)
    assert (shown.exit_code, told in shown.stderr) == (2, True)
    assert "Loading" not in shown.stderr
    assert not (tmp_path / "hello.wav").exists()


def test_a_file_without_a_voice_is_one_line(invoke: Invoke, config: Path) -> None:
    config.write_text("")
    shown = invoke("say", "-o", "hello.wav", "hello")
    told = "jackfield: [tts] No voice is configured. Add [tts] with `use`.\n"
    assert (shown.exit_code, shown.stderr) == (2, told)


def test_an_installation_without_a_decoder_is_one_line(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    shown = invoke("say", "-o", "hello.wav", "hello")
    told = "[tts] Voice needs the decoder PyAV, which cannot be imported. pip install 'jackfield[audio]'"
    assert (shown.exit_code, shown.stderr) == (2, f"jackfield: {told}\n")


def test_text_with_nothing_to_say_leaves_no_file(invoke: Invoke, tmp_path: Path) -> None:
    shown = invoke("say", "-o", "hello.wav", "...")
    assert (shown.exit_code, "made no sound" in shown.stderr) == (2, True)
    assert not (tmp_path / "hello.wav").exists()


def test_a_named_voice_is_found_by_its_alias(invoke: Invoke, tmp_path: Path, config: Path) -> None:
    named = '[tts.named.slow]\nuse = "tone"\naliases = ["aunt"]\noptions.character_ms = 200\n'
    config.write_text(TONE + named)
    assert invoke("say", "--tts", "aunt", "-o", "hello.wav", "hello you").exit_code == 0
    assert length_s(tmp_path / "hello.wav") == pytest.approx(1.8)


VOICE = """
import sys
from jackfield.errors import ProviderUnavailable

class TTS:
    def rate_hz(self, voice):
        return 16000
    async def synthesize(self, text, settings):
        {body}
        yield b"\\1\\0" * 1600

@hookimpl
def plugin_info():
    return PluginInfo("tts", {name!r}, "A test.")

@hookimpl
def make_tts(options, site):
    return TTS()
"""
TELLS = "v = settings.voice; print(v.name, v.language, v.gender, v.accent, file=sys.stderr)"


@pytest.mark.parametrize(
    ("arguments", "voice"),
    [
        ([], "amy en-GB female None"),
        (["--gender", "male", "--language", "de"], "None de male None"),
        (["--voice", "joe", "--accent", "polish"], "joe None None polish"),
    ],
)
def test_the_voice_is_the_one_asked_for_else_the_assistants(
    invoke: Invoke, config: Path, shop: PluginShop, arguments: list[str], voice: str
) -> None:
    shop.add("tts", "telling", VOICE.format(name="telling", body=TELLS))
    assistant = '[assistant]\nvoice = { name = "amy", language = "en-GB", gender = "female" }\n'
    config.write_text('[tts]\nuse = "telling"\n' + assistant)
    assert voice in invoke("say", "-o", "hello.wav", *arguments, "hello").stderr.splitlines()


BROKEN = VOICE.format(name="broken", body='raise ProviderUnavailable("out of order")')


def test_a_voice_that_fails_is_told_and_leaves_no_file(
    invoke: Invoke, tmp_path: Path, config: Path, shop: PluginShop
) -> None:
    shop.add("tts", "broken", BROKEN.replace("Unavailable", "Refused"))
    config.write_text('[tts]\nuse = "broken"\n')
    shown = invoke("say", "-o", "hello.wav", "hello")
    assert (shown.exit_code, shown.stderr.splitlines()[-1]) == (2, "jackfield: out of order")
    assert not (tmp_path / "hello.wav").exists()


def test_the_next_of_a_chain_speaks_when_the_first_fails(
    invoke: Invoke, tmp_path: Path, config: Path, shop: PluginShop
) -> None:
    shop.add("tts", "broken", BROKEN)
    config.write_text('[tts]\nuse = "broken"\n[[tts.fallback]]\nuse = "tone"\noptions.character_ms = 100\n')
    shown = invoke("say", "-o", "hello.wav", "hello you")
    assert (shown.exit_code, shown.stderr.splitlines()[0]) == (0, "Loading broken > tone ...")
    assert length_s(tmp_path / "hello.wav") == pytest.approx(0.9)


OPENED = """
class Opened:
    async def __aenter__(self):
        print("opened", file=sys.stderr)
    async def __aexit__(self, *reason):
        print("closed", file=sys.stderr)
"""


def test_every_voice_of_a_chain_is_opened_and_closed(invoke: Invoke, config: Path, shop: PluginShop) -> None:
    voice = VOICE.format(name="opened", body="").replace("class TTS", OPENED + "\nclass TTS(Opened)")
    shop.add("tts", "opened", voice)
    config.write_text('[tts]\nuse = "tone"\n[[tts.fallback]]\nuse = "opened"\n')
    assert invoke("say", "-o", "hello.wav", "hello").stderr.splitlines()[1:3] == ["opened", "closed"]


def test_the_loudspeaker_gets_all_the_sound_at_the_voices_rate(
    invoke: Invoke, programs: SoundPrograms, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs.loudspeaker()
    monkeypatch.setenv("PATH", programs.path)
    assert invoke("say", "hello you").exit_code == 0
    assert programs.played.stat().st_size == round(0.9 * 24_000) * 2
    assert programs.arguments.read_text() == "-q -t raw -f S16_LE -c 1 -r 24000\n"


@pytest.mark.usefixtures("programs")
def test_without_a_player_it_says_what_to_install_and_what_works(invoke: Invoke) -> None:
    shown = invoke("say", "hello")
    assert shown.exit_code == 2
    assert shown.stderr.count("\n") == 1
    assert "No program that plays sound is installed; looked for aplay, paplay, " in shown.stderr
    assert "--output FILE" in shown.stderr


@pytest.mark.usefixtures("programs")
def test_a_file_needs_no_player(invoke: Invoke) -> None:
    assert invoke("say", "-o", "hello.wav", "hello").exit_code == 0


@pytest.mark.parametrize(
    "script", ["echo no such card >&2; exit 3", "cat > /dev/null; echo no such card >&2; exit 3"]
)
def test_a_player_that_fails_is_quoted(
    invoke: Invoke, programs: SoundPrograms, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    programs.add("aplay", script)
    monkeypatch.setenv("PATH", programs.path)
    shown = invoke("say", MANY_WORDS)
    assert shown.exit_code == 2
    assert '[loudspeaker] "aplay" ended with exit code 3: no such card.' in shown.stderr


def test_an_interrupt_silences_what_is_played_while_it_is_made(
    programs: SoundPrograms, tmp_path: Path, config: Path
) -> None:
    config.write_text(SLOW)
    programs.add("aplay", f'exec > "{programs.played}"\ncat\nexec sleep 60')  # much is left to be heard
    os.mkfifo(programs.played)
    with (
        start(tmp_path, MANY_WORDS, path=programs.path) as process,
        programs.played.open("rb") as loudspeaker,
    ):
        assert loudspeaker.read(4)  # heard though all of it would take minutes to make
        process.send_signal(signal.SIGINT)
        loudspeaker.read()  # to the end: the player is gone
        _, told = process.communicate(timeout=8)
    assert told == b"Loading tone ...\n"
    assert process.returncode in INTERRUPTED


def test_an_interrupt_leaves_the_file_that_was_there(tmp_path: Path, config: Path) -> None:
    config.write_text(SLOW)
    (tmp_path / "hello.wav").write_bytes(b"old")
    with start(tmp_path, "-o", "hello.wav", MANY_WORDS) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"Loading tone ...\n"
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=8)
    assert told == b""
    assert process.returncode in INTERRUPTED
    assert (tmp_path / "hello.wav").read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} == {"hello.wav", "jackfield.toml"}


def test_a_file_that_cannot_be_written_is_one_line(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / f".hello.wav.{os.getpid()}.part").mkdir()
    shown = invoke("say", "-o", "hello.wav", "hello")
    assert (shown.exit_code, "hello.wav cannot be written: " in shown.stderr.splitlines()[-1]) == (2, True)


def test_standard_output_streams_wav(tmp_path: Path, config: Path) -> None:
    config.write_text(SLOW)
    with start(tmp_path, "-o", "-", MANY_WORDS) as process:
        assert process.stdout is not None
        begin = process.stdout.read(44 + 4800)  # a tenth of a second of sound
        process.stdout.close()  # who reads has had enough
        process.wait(timeout=8)
        assert process.stderr is not None
        told = process.stderr.read()
    assert sniff(begin) == "wav"
    assert duration_s(decode(begin, max_s=10), 16_000) == pytest.approx(0.1, abs=0.01)
    assert (process.returncode, b"Traceback" in told) == (1, False)
