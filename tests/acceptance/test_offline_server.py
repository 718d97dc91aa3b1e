"""The main job on real input: typed and recorded messages, answered in text and in speech, offline."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from itertools import cycle
from pathlib import Path

import jiwer
import psutil
import pytest

from jackfield.audio.decode import decode
from jackfield.audio.sniff import Container, sniff
from jackfield.testing.recordings import record
from tests.acceptance.offline import OfflineServer
from tests.voices import DATA, RECORDINGS, recording, spoken_text, words

LEAST_RIGHT = 7
MOST_WORD_ERRORS = 0.10
RATE_HZ = 48_000
LABELS: dict[Container, str] = {
    "webm": "audio/webm;codecs=opus",
    "ogg": "audio/ogg",
    "mp4": "audio/mp4",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
}


def test_it_answers_easy_questions(offline: OfflineServer) -> None:
    questions = tomllib.loads((DATA / "easy_questions.toml").read_text())["question"]
    answers = {question["ask"]: offline.ask(question["ask"]).lower() for question in questions}
    right = [q["ask"] for q in questions if any(word in answers[q["ask"]] for word in q["expect"])]
    assert len(questions) == 10
    assert len(right) >= LEAST_RIGHT, answers


@pytest.mark.parametrize(("container", "name"), list(zip(LABELS, cycle(RECORDINGS), strict=False)))
def test_a_human_recording_is_understood(offline: OfflineServer, container: Container, name: str) -> None:
    sound = record(recording(name, RATE_HZ), container)
    body = offline.say(sound, LABELS[container])
    assert jiwer.wer(words(spoken_text(name)), words(body["transcript"])) < MOST_WORD_ERRORS


def test_a_spoken_question_comes_back_as_speech(offline: OfflineServer) -> None:
    """The clip is what `audioUrl` says it is, and what is heard in it is the text that came along."""
    asked = offline.say(record(recording("two_cities", RATE_HZ)[: RATE_HZ * 2 * 6], "webm"), "audio/webm")
    assert asked["type"] == "voice"
    clip = offline.fetch(asked["audioUrl"])
    assert clip.headers["content-type"] == "audio/mpeg"
    assert sniff(clip.content) == "mp3"
    pcm = decode(clip.content, rate_hz=RATE_HZ, max_s=300)
    heard = offline.say(record(pcm, "webm"), "audio/webm")["transcript"]
    assert jiwer.wer(words(asked["message"]), words(heard)) < 0.5


def test_the_first_sentence_is_spoken_before_the_last_is_written(offline: OfflineServer) -> None:
    offline.say(record(recording("two_cities", RATE_HZ), "webm"), "audio/webm")
    turns = re.findall(r"turn \w+ ok in [\d.]+ s \(([^)]*)\).* voice", offline.output())
    seconds = [{name: float(s) for name, s in re.findall(r"(\w+) ([\d.]+)", turn)} for turn in turns]
    spoken = [turn for turn in seconds if "spoken" in turn]
    assert any(turn["first_audio"] < turn["answered"] < turn["spoken"] for turn in spoken), seconds
    figures = offline.client.get("/metrics").text
    assert 'jackfield_stage_seconds_count{stage="first_audio",transport="relay_chat"}' in figures


def test_health_answers_while_the_model_works(offline: OfflineServer) -> None:
    answered = threading.Event()

    def ask() -> None:
        offline.ask("Tell me a long story about the sea and everything that lives in it.")
        answered.set()

    busy = threading.Thread(target=ask)
    busy.start()
    try:
        for _ in range(5):
            assert offline.client.get("/health").json() == {"status": "healthy", "service": "chat-api"}
        assert not answered.is_set()
    finally:
        busy.join()


def test_nothing_else_listens_but_the_models_own_port_behind_a_random_key(offline: OfflineServer) -> None:
    process = psutil.Process(offline.pid)
    sockets = [each for each in process.net_connections("inet") if each.status == psutil.CONN_LISTEN]
    others = [each.laddr for each in sockets if not offline.url.endswith(f":{each.laddr.port}")]
    assert len(sockets) - len(others) == 1
    for address in others:
        assert address.ip == "127.0.0.1"
        for path in ("/props", "/slots", "/v1/models/x", "/metrics"):
            assert offline.client.get(f"http://127.0.0.1:{address.port}{path}").status_code in (401, 404)
        body = {"prompt": "hello", "n_predict": 1}
        url = f"http://127.0.0.1:{address.port}/completion"
        assert offline.client.post(url, json=body).status_code in (401, 404)


def test_it_serves_with_nothing_but_a_loopback_interface() -> None:
    """In a network namespace of its own, without any other interface, text and voice are answered."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rn", "true"], check=False).returncode:
        pytest.skip("Needs unshare and user namespaces: apt-get install util-linux")
    probe = Path(__file__).with_name("loopback_only.py")
    command = ["unshare", "-rn", sys.executable, str(probe)]
    root = str(Path(__file__).parents[2])
    ran = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=root, env=os.environ | {"PYTHONPATH": root}
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "text and voice were answered" in ran.stdout
