"""The figures of the long proof of isolation."""

from __future__ import annotations

from soak.chaos import Result
from soak.isolation import figures


def test_figures_are_added_up_over_all_seeds() -> None:
    result = Result(1800, 7, passed=True, seconds=61.04)
    result.lines += [
        "     9 s  seed 7, servers 2: 20 runs of 40 moves, 310 answers, 3 kills",
        "    30 s  .seed 8, servers 2: 20 runs of 40 moves, 290 answers, 2 kills",
        "    61 s  .",
    ]

    assert figures(result) == {
        "verdict": "passed",
        "first seed": 7,
        "times that servers were started": 2,
        "moves": 1800,
        "messages answered": 600,
        "servers killed": 5,
        "seconds": 61.0,
    }
