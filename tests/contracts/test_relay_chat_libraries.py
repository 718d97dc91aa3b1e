"""relay-chat, RC-54: the libraries that its authors name, each as an extra that nothing else needs."""

from __future__ import annotations

import importlib.util
import os
import tomllib

import numpy as np
import pytest
from packaging.requirements import Requirement

from jackfield.audio.decode import decode
from jackfield.testing.recordings import record
from tests.contracts.harness import ROOT, ServerFactory
from tests.voices import recording, words

PARTS = ("speech_recognition", "pocketsphinx", "pyttsx3", "moonshine_voice")
missing = [part for part in PARTS if importlib.util.find_spec(part) is None]
needs_parts = pytest.mark.skipif(bool(missing) and not os.environ.get("CI"), reason=f"Needs {missing}.")


@pytest.mark.contract("RC-54")
@needs_parts
def test_a_recording_goes_through_speech_recognition_and_pyttsx3(start: ServerFactory) -> None:
    server = start(
        "libraries",
        {
            "llm": {"use": "echo", "options": None},
            "stt": {"use": "speech_recognition", "options": {"folder": None, "engine": "sphinx"}},
            "tts": {"use": "pyttsx3", "options": {"folder": None}},
            "transport": [{"use": "relay_chat", "options": {"include_transcript": True}}],
        },
    )
    said = recording("two_cities", 48_000)[: int(4.77 * 48_000) * 2]
    answer = server.say(record(said, "webm")).json()

    assert words(answer["transcript"]) == "it was the best of times it was the worst of times"
    assert words(answer["message"]) == words(answer["transcript"])
    spoken = decode(server.client.get(answer["audioUrl"]).content, max_s=60)
    samples = np.frombuffer(spoken, "<i2")
    assert 2 < len(samples) / 16_000 < 8
    assert np.abs(samples).max() > 3_000
    assert server.calls_out() == []


@pytest.mark.contract("RC-54")
@pytest.mark.parametrize(
    ("library", "extra"),
    [("SpeechRecognition", "speech-recognition"), ("pyttsx3", "pyttsx3"), ("redis", "redis")],
)
def test_each_library_is_an_extra_and_nothing_that_the_core_needs(library: str, extra: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    always = {Requirement(line).name for line in project["dependencies"]}
    assert library in {Requirement(line).name for line in project["optional-dependencies"][extra]}
    assert library not in always
