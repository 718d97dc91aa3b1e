"""`jackfield say` and `jackfield listen` with real models: what one says, the other understands."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jackfield.audio.decode import decode
from jackfield.audio.pcm import WIDTH_BYTES, duration_s
from jackfield.cli.commands import root
from jackfield.models import is_fetched
from tests.core.cli.sound_programs import SoundPrograms
from tests.voices import words

pytestmark = pytest.mark.timeout(60)

Invoke = Callable[..., Result]

PARTS = ("piper", "faster_whisper", "onnxruntime")
MODELS = ("piper-en-us-joe", "whisper-tiny.en", "silero-vad")
if not os.environ.get("CI"):
    if any(importlib.util.find_spec(part) is None for part in PARTS):
        pytest.skip(f"Needs {' and '.join(PARTS)}.", allow_module_level=True)
    if not all(map(is_fetched, MODELS)):
        pytest.skip(f"Needs models: jackfield models fetch {' '.join(MODELS)}", allow_module_level=True)

RATE_HZ = 16_000
PAUSE = bytes(RATE_HZ * WIDTH_BYTES)
"""A second of silence."""
SENTENCE = "What is the capital of Italy?"
OFFLINE = """
[stt]
use = "faster_whisper"
options.threads = 1
[tts]
use = "piper"
options.noise_scale = 0.0
options.noise_w_scale = 0.0
[vad]
use = "silero"
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of all three."""
    path = tmp_path_factory.mktemp("offline") / "offline.toml"
    path.write_text(OFFLINE)
    return path


@pytest.fixture(scope="module")
def spoken(config: Path) -> Path:
    """The sentence, said into a file."""
    path = config.with_name("question.mp3")
    shown = CliRunner().invoke(root, ["say", "--config", str(config), "-o", str(path), SENTENCE])
    assert shown.exit_code == 0, shown.stderr
    return path


def test_what_is_said_into_a_file_is_understood(invoke: Invoke, config: Path, spoken: Path) -> None:
    assert words(invoke("listen", "--config", config, spoken).stdout) == words(SENTENCE)


def test_a_pause_before_the_microphone_ends_an_utterance(
    invoke: Invoke, config: Path, spoken: Path, programs: SoundPrograms, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = decode(spoken.read_bytes(), rate_hz=RATE_HZ, max_s=10)
    programs.microphone(PAUSE + sound + PAUSE + sound + PAUSE)
    monkeypatch.setenv("PATH", programs.path)
    first, second = map(json.loads, invoke("listen", "--config", config, "--json").stdout.splitlines())
    assert words(first["text"]) == words(second["text"]) == words(SENTENCE)
    end_s = 1 + duration_s(sound, RATE_HZ)
    assert (first["start_s"], first["end_s"]) == (pytest.approx(1, abs=0.3), pytest.approx(end_s, abs=0.3))
    assert second["start_s"] == pytest.approx(1 + end_s, abs=0.3)
