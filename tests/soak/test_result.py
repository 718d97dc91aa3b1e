"""How trials that hold calls or sockets are judged."""

from __future__ import annotations

import pytest

from soak.endurance import CallResult
from soak.memory import Sample
from soak.result import LEAST_MINUTES, Result
from soak.socket_result import SocketResult


def calls() -> CallResult:
    found = CallResult(1, minutes=LEAST_MINUTES, seed=1, exit_code=0)
    found.tally.counts["answers ok"] = 1
    return found


def sockets() -> SocketResult:
    return SocketResult(0, 0, minutes=LEAST_MINUTES, seed=1, exit_code=0)


@pytest.fixture(params=[calls, sockets], ids=["calls", "sockets"])
def result(request: pytest.FixtureRequest) -> Result:
    """Of a trial in which everything held."""
    found: Result = request.param()
    found.samples.all += [Sample(at * 5.0, 100.0, 9, 3, 5, 1000, 1) for at in range(60)]
    return found


def test_a_trial_in_which_everything_held_has_passed(result: Result) -> None:
    assert result.problems() == []
    assert result.figures()["verdict"] == "passed"


def test_what_is_left_or_warned_of_is_a_problem(result: Result) -> None:
    result.left = {"task reply": 2}
    result.log = "a warning\n"
    result.exit_code = 1

    assert result.problems() == [
        "left behind: 2 task reply",
        "the server's log has 1 lines of warnings",
        "the server ended with exit code 1",
    ]
    assert result.figures()["verdict"] == "failed"


def test_memory_that_grows_is_a_problem_of_a_trial_that_is_long_enough(result: Result) -> None:
    result.samples.all = [Sample(at * 5.0, 100.0 + at, 9, 3, 5, 1000, 1) for at in range(60)]
    assert [problem.partition(":")[0] for problem in result.problems()] == ["memory grows"]

    result.minutes = LEAST_MINUTES / 2
    assert result.problems() == []
