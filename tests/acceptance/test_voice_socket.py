"""People's voices over the voice socket of examples/voice-socket.toml, offline, in real time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import jiwer
import pytest
from websockets.sync.client import ClientConnection, connect

from jackfield.audio.resample import resample
from jackfield.models import is_fetched
from tests.acceptance.offline import MODELS
from tests.server_process import ServerProcess
from tests.voices import recording, spoken_text, words

ROOT: Final = Path(__file__).parents[2]
RATE_HZ: Final = 16_000
OUT_HZ: Final = 24_000
FRAME_BYTES: Final = 640
SPOKEN_S: Final = 6
"""Of a recording, a sentence or so of it."""

SOUND_CARD: Final = '''
"""Stands for `sounddevice`: records a file, and notes what is played."""
import os, threading, time

class RawInputStream:
    def __init__(self, samplerate, blocksize, callback, **form):
        assert (form["channels"], form["dtype"]) == (1, "int16")
        self.every_s, self.size, self.callback = blocksize / samplerate, blocksize * 2, callback

    def __enter__(self):
        threading.Thread(target=self.record, daemon=True).start()

    def __exit__(self, *error):
        pass

    def record(self):
        with open(os.environ["RECORDING"], "rb") as file:
            while pcm := file.read(self.size):
                self.callback(memoryview(pcm), len(pcm) // 2, None, None)
                time.sleep(self.every_s)

class RawOutputStream:
    def __init__(self, samplerate, callback, **form):
        assert (form["channels"], form["dtype"]) == (1, "int16")
        self.every_s, self.size, self.callback = 0.02, samplerate // 50 * 2, callback

    def __enter__(self):
        threading.Thread(target=self.play, daemon=True).start()

    def __exit__(self, *error):
        pass

    def play(self):
        with open(os.environ["PLAYED"], "wb", buffering=0) as file:
            while True:
                out = bytearray(self.size)
                self.callback(memoryview(out), self.size // 2, None, None)
                file.write(out)
                time.sleep(self.every_s)
'''


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    missing = [name for name in MODELS if not is_fetched(name)]
    if missing and not os.environ.get("CI"):
        pytest.skip(f"Needs models: jackfield models fetch {' '.join(missing)}")
    example = ROOT / "examples" / "voice-socket.toml"
    folder = tmp_path_factory.mktemp("voice-socket")
    with ServerProcess(folder, [str(example), "--port", "0"], os.environ) as server:
        yield server


def address(server: ServerProcess) -> str:
    return f"{server.url.replace('http', 'ws', 1)}/voice"


def say(connection: ClientConnection, pcm: bytes) -> tuple[dict[str, Any], str, bytes]:
    """Say something in real time; gives how the answer ended, what was understood, and the answer's sound."""
    connection.send('{"type": "speech.start"}')
    began = time.monotonic()
    for at in range(0, len(pcm), FRAME_BYTES):
        connection.send(pcm[at : at + FRAME_BYTES])
        time.sleep(max(0.0, began + at / 2 / RATE_HZ - time.monotonic()))
    connection.send('{"type": "speech.end"}')
    transcript, sound = "", bytearray()
    while True:
        message = connection.recv(timeout=60)
        if isinstance(message, bytes):
            sound += message
            continue
        event = json.loads(message)
        assert event["type"] != "error", event
        if event["type"] == "transcript":
            transcript = event["text"]
        elif event["type"] == "reply.finished":
            return event, transcript, bytes(sound)


def test_a_spoken_question_is_answered_in_speech_that_says_the_text(server: ServerProcess) -> None:
    """The answer is understood when it is played back to the server."""
    spoken = recording("two_cities", RATE_HZ)[: RATE_HZ * 2 * SPOKEN_S]
    with connect(address(server), proxy=None) as connection:
        connection.send('{"type": "start", "turns": "explicit"}')
        assert json.loads(connection.recv())["type"] == "started"
        finished, transcript, sound = say(connection, spoken)
        _finished, heard, _sound = say(connection, resample(sound, OUT_HZ, RATE_HZ))

    said = words(spoken_text("two_cities")).split()[: len(words(transcript).split())]
    assert jiwer.wer(" ".join(said), words(transcript)) < 0.2
    assert finished["outcome"] == "ok"
    assert jiwer.wer(words(finished["text"]), words(heard)) < 0.5


def test_the_example_client_talks_by_microphone(server: ServerProcess, tmp_path: Path) -> None:
    """The server finds out when the person has finished."""
    spoken = recording("two_cities", RATE_HZ)[: RATE_HZ * 2 * SPOKEN_S]
    (tmp_path / "sounddevice.py").write_text(SOUND_CARD)
    (tmp_path / "recording").write_bytes(spoken + bytes(RATE_HZ * 2 * 60))
    played = tmp_path / "played"
    client = subprocess.Popen(
        [sys.executable, "-u", ROOT / "examples" / "voice_client.py", "--url", address(server)],
        env={"PYTHONPATH": str(tmp_path), "RECORDING": str(tmp_path / "recording"), "PLAYED": str(played)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with client:
        assert client.stdout is not None
        said: list[str] = []
        while not said or not said[-1].removeprefix("Server:").strip() or said[-1].startswith("You:"):
            said.append(client.stdout.readline())
            assert said[-1].startswith(("You:", "Server:")), said
        client.kill()

    assert said[0].startswith("You: ")
    assert played.read_bytes().strip(b"\0")
