"""Outages: the tests in which chains of providers fail at random, with more turns than a test may take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from soak.chaos import Result, run_test

_TEST: Final = "tests/core/dialogue/test_outages.py"


def run(turns: int, seed: int) -> Result:
    """Hold so many turns, and a call for every twenty of them, decided by `seed`."""
    result = Result(turns, seed)
    result.say(f"outages: {turns} turns and {turns // 20} calls with chains of three that fail, seed {seed}")
    run_test(result, _TEST, {"JACKFIELD_OUTAGES": str(turns), "JACKFIELD_OUTAGES_SEED": str(seed)}, "-q")
    result.say("PASSED: nothing stuck, mixed up or left behind" if result.passed else "FAILED")
    return result


def figures(result: Result) -> Mapping[str, object]:
    """Everything, as JSON has it."""
    return {
        "verdict": "passed" if result.passed else "failed",
        "turns": result.events,
        "calls": result.events // 20,
        "seed": result.seed,
        "seconds": round(result.seconds, 1),
    }
