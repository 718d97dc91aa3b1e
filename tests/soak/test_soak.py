"""The long proofs, for a few seconds."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jackfield.models import is_fetched
from soak.memory import Sample, Samples
from soak.server import Holding
from soak.tally import Tally
from soak.witness import Witness

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.timeout(90)


def holding(**changes: int) -> Holding:
    return Holding(100.0, changes.pop("descriptors", 9), 3, {"main": 1}, 3, {"serve": 1, **changes}, {}, 1000)


def memory(*mib: float) -> Samples:
    return Samples([Sample(at * 5.0, each, 9, 3, 5, 1000, 2) for at, each in enumerate(mib)])


def witness() -> tuple[Witness, list[str]]:
    wrong: list[str] = []
    return Witness(Tally(), wrong.append), wrong


@pytest.fixture
def models() -> None:
    if not is_fetched("silero-vad"):
        pytest.skip("Needs a model: jackfield models fetch silero-vad")


@pytest.mark.usefixtures("models")
def test_a_short_trial_holds_and_leaves_nothing() -> None:
    command = [sys.executable, "-m", "soak", "--only", "endurance", "--minutes", "0.2", "--calls", "6"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "PASSED" in ran.stdout
    assert "10 s" in ran.stdout


@pytest.mark.usefixtures("models")
def test_ctrl_c_stops_a_trial_at_once() -> None:
    command = [sys.executable, "-m", "soak", "--minutes", "5", "--calls", "2"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        for _ in range(2):  # it has begun, and has told how it goes
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        began_s = time.monotonic()

        assert process.wait(30) == 130
        assert time.monotonic() - began_s < 3


def test_memory_is_judged_by_its_second_half() -> None:
    flat = memory(*range(100, 150), *([150] * 50))
    assert flat.growth_mib() == pytest.approx(0)
    growing = memory(*(100 + at / 10 for at in range(100)))
    assert growing.growth_mib() == pytest.approx(4.9, abs=0.2)
    assert growing.growth_mib() > growing.limit_mib()


def test_what_is_left_beyond_the_idle_figure_is_named() -> None:
    assert holding(reply=2, descriptors=10).beyond(holding()) == {"descriptors": 1, "task reply": 2}
    assert holding().beyond(holding(reply=2)) == {}


def test_an_answer_to_an_older_question_is_noticed() -> None:
    caller, wrong = witness()
    for item, text in enumerate(["You said: typed 2", "You said: typed 1"], 1):
        caller.event({"type": "reply.started", "item": item})
        caller.event({"type": "reply.text", "item": item, "text": text})
        caller.event({"type": "reply.finished", "item": item, "text": text, "outcome": "ok"})

    assert wrong == ["a stale answer to a typed message"]


def test_sound_after_the_end_of_an_answer_is_noticed() -> None:
    caller, wrong = witness()
    caller.sound(b"\0\0")

    assert wrong == ["sound outside of an answer"]
