"""Chaos: the test of calls in which everything happens at random, for far longer than a test may take."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from soak.printing import Printing

_ROOT: Final = Path(__file__).parents[1]
_TEST: Final = "tests/core/dialogue/call/test_disorder.py"


@dataclass
class Result(Printing):
    """What came of it."""

    events: int
    seed: int
    passed: bool = False
    seconds: float = 0.0

    def figures(self) -> dict[str, object]:
        """Everything, as JSON has it."""
        return {
            "verdict": "passed" if self.passed else "failed",
            "events in each of the tests": self.events,
            "first seed": self.seed,
            "seconds": round(self.seconds, 1),
        }


def run(events: int, seed: int) -> Result:
    """Let so many things happen in each of the tests, with seeds from `seed` on."""
    result = Result(events, seed)
    result.say(f"chaos: {events} random events in each of the tests, first seed {seed}")
    run_test(result, _TEST, {"JACKFIELD_DISORDER": str(events), "JACKFIELD_DISORDER_SEED": str(seed)})
    result.say("PASSED: no stale word, no stuck state, stored as heard" if result.passed else "FAILED")
    return result


def run_test(result: Result, test: str, settings: Mapping[str, str], tell: str = "-v") -> None:
    """Run the tests of a file with these variables, and say what they print."""
    began_s = time.monotonic()
    options = [tell, "--tb=short", "--show-capture=no", "-p", "no:cacheprovider"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "--no-header", *options, test],
        cwd=_ROOT,
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for whoever started the trial
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            result.say(f"{time.monotonic() - began_s:6.0f} s  {line.rstrip()}")
        result.passed = process.wait() == 0
    finally:
        process.kill()
    result.seconds = time.monotonic() - began_s
