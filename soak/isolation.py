"""Isolation: the state machine of users who must not notice one another, for minutes instead of one run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from soak.chaos import Result, run_test

_TEST: Final = "tests/acceptance/test_isolation.py"
_DONE: Final = re.compile(r"seed \d+, servers \d+: (\d+) runs of (\d+) moves, (\d+) answers, (\d+) kills")


def run(minutes: float, seed: int) -> Result:
    """Let users do whatever the dice say for so long, with seeds from `seed` on."""
    result = Result(0, seed)
    result.say(f"isolation: users at every door of two servers for {minutes:g} minutes, first seed {seed}")
    settings = {"JACKFIELD_ISOLATION_MINUTES": str(minutes), "JACKFIELD_ISOLATION_SEED": str(seed)}
    run_test(result, _TEST, settings, "-qs")
    result.events = sum(runs * moves for runs, moves, _, _ in _done(result.lines))
    held = "PASSED: nobody saw another, nothing acknowledged was lost or doubled"
    result.say(held if result.passed else "FAILED")
    return result


def figures(result: Result) -> Mapping[str, object]:
    """Everything, as JSON has it."""
    done = _done(result.lines)
    return {
        "verdict": "passed" if result.passed else "failed",
        "first seed": result.seed,
        "times that servers were started": len(done),
        "moves": result.events,
        "messages answered": sum(answers for _, _, answers, _ in done),
        "servers killed": sum(kills for _, _, _, kills in done),
        "seconds": round(result.seconds, 1),
    }


def _done(lines: Sequence[str]) -> Sequence[tuple[int, int, int, int]]:
    """Runs, moves of each, answers and kills, for every seed."""
    found = [match for line in lines if (match := _DONE.search(line))]
    return [(int(one[1]), int(one[2]), int(one[3]), int(one[4])) for one in found]
