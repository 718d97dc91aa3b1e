"""What was measured of the answers: the wait for their first sound, and where it went."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench.caller import Caller, Heard
from bench.recordings import Recording

STAGES: Final = ("endpoint", "transcript", "first_token", "first_sentence", "first_audio")
QUIET: Final = 0.2
"""Of the processors: with less for others, a question had the machine nearly for itself."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One question; milliseconds since its voice ended."""

    name: str
    seconds: float
    wait_ms: float
    audible_ms: float
    detected_ms: float
    """Where the server saw the voice end: what the detector is late by, and the way of the frames."""
    guess_ms: float
    """Arrival of the transcript that was made before the turn had ended; 0 without one."""
    stages_ms: Mapping[str, float]
    round_trip_ms: float
    neighbours: float

    def waterfall(self) -> dict[str, float]:
        """Everything that happened, in the clock of the caller."""
        row = {"voice seen to end": self.detected_ms, "guess of the transcript": self.guess_ms}
        row |= {stage.replace("_", " "): self.stages_ms[stage] for stage in STAGES if stage in self.stages_ms}
        return row | {"first audio at the caller": self.wait_ms, "first audible sample": self.audible_ms}


def figures(question: Recording, heard: Heard, round_trip_s: float) -> Figures:
    """Put the server's stages, which count from where it saw the voice end, on the caller's clock."""

    def since_ms(at_s: float) -> float:
        return (at_s - heard.speech_end_s) * 1000 if at_s else 0.0

    wait_ms = since_ms(heard.first_audio_s)
    # The last sound of the server and the first at the caller are the same but for half a round trip.
    detected_ms = wait_ms - round_trip_s * 500 - heard.stages["first_audio"] * 1000
    stages = {stage: detected_ms + heard.stages[stage] * 1000 for stage in STAGES if stage in heard.stages}
    return Figures(
        question.name,
        question.speech_end_s,
        wait_ms,
        since_ms(heard.first_audible_s),
        detected_ms,
        since_ms(heard.guessed_s),
        stages,
        round_trip_s * 1000,
        heard.neighbours,
    )


class Measurement:
    """One set of questions, asked in one way, as often as there are runs."""

    def __init__(self, name: str, *, verbose: bool) -> None:
        self.name = name
        self.runs: list[list[Figures]] = []
        self.problems: list[str] = []
        self._verbose = verbose

    def note(self, question: Recording, heard: Heard, caller: Caller) -> None:
        """Add an answer to the last run."""
        if heard.cut or not heard.first_audio_s or "first_audio" not in heard.stages:
            problem = "answered before its end" if heard.cut else f"no answer to be heard ({heard.outcome})"
            self.problems.append(f"{question.name}: {problem}")
            print(f"  {self.problems[-1]}", flush=True)
            return
        row = figures(question, heard, caller.round_trip_s)
        self.runs[-1].append(row)
        stages = "  ".join(f"{name} {ms:.0f}" for name, ms in row.waterfall().items())
        print(
            f"  {row.name:22} {row.seconds:4.1f} s: {row.wait_ms:5.0f} ms   {stages}   "
            f"others {row.neighbours:.0%}",
            flush=True,
        )
        if self._verbose:
            print(f"      > {heard.transcript}\n      < {heard.text}", flush=True)

    def summary(self) -> dict[str, object]:
        """Medians and percentiles of each run, of what had a quiet machine, and the waterfall of the best."""
        best = min((run for run in self.runs if run), key=median_wait, default=[])
        quiet = [row for run in self.runs for row in run if row.neighbours < QUIET]
        names = dict.fromkeys(name for row in best for name in row.waterfall())
        steps = {name: [ms for row in best if (ms := row.waterfall().get(name, 0.0))] for name in names}
        return {
            "runs": [spread([row.wait_ms for row in run]) for run in self.runs if run],
            "with a quiet machine, all runs": spread([row.wait_ms for row in quiet]) if quiet else None,
            "taken by others": f"{statistics.median(row.neighbours for row in best):.0%}" if best else None,
            "waterfall of the best run": {name: spread(values) for name, values in steps.items() if values},
            "round trip ms": round(statistics.median(row.round_trip_ms for row in best), 2) if best else None,
            "waits ms": [round(row.wait_ms) for row in best],
            "problems": self.problems,
        }


def spread(values_ms: Sequence[float]) -> dict[str, int]:
    """Median and 95th percentile."""
    return {
        "median ms": round(statistics.median(values_ms)),
        "p95 ms": round(percentile(values_ms, 95)),
        "questions": len(values_ms),
    }


def median_wait(run: Sequence[Figures]) -> float:
    """What runs are compared by."""
    return statistics.median(row.wait_ms for row in run)


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` of the values do not exceed, without anything made up between two."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, -(-len(ordered) * int(percent) // 100) - 1)]
