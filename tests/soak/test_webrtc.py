"""The proof that calls over WebRTC hold, for a few seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from jackfield.models import is_fetched

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(90)
def test_a_short_trial_holds_and_leaves_nothing() -> None:
    if not is_fetched("silero-vad"):
        pytest.skip("Needs a model: jackfield models fetch silero-vad")
    command = [sys.executable, "-m", "soak", "--only", "webrtc", "--minutes", "0.1", "--browsers", "3"]
    ran = subprocess.run([*command, "--seed", "4"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "PASSED" in ran.stdout
