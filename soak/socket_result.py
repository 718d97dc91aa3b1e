"""What came of holding sockets: latencies, memory, what was wrong and what was left, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bench.call_load import percentile_ms
from soak.endurance import LEAST_MINUTES
from soak.memory import Samples
from soak.visitors import SERVED, Tally

_MOST_SHOWN: Final = 20


@dataclass
class Result:
    """What came of a trial."""

    idle: int
    busy: int
    minutes: float
    seed: int
    tally: Tally = field(default_factory=Tally)
    samples: Samples = field(default_factory=Samples)
    """Of the server; `calls` are its WebSockets."""
    lines: list[str] = field(default_factory=list)
    """What was printed."""
    began_s: float = 0.0
    late_s: list[float] = field(default_factory=list)
    """By how much the visitors themselves were late."""
    server_cpu_s: float = 0.0
    left: Mapping[str, int] = field(default_factory=dict)
    """What the server holds after the last socket beyond what it held before the first."""
    log: str = ""
    exit_code: int | None = None

    def problems(self) -> list[str]:
        """Why the trial failed; nothing when it did not."""
        wrong, samples, counts = self.tally.wrong, self.samples, self.tally.counts
        found = [f"{len(wrong)} times something was wrong, such as: {each}" for each in wrong[:1]]
        if self.minutes >= LEAST_MINUTES and not samples.growth_mib() <= samples.limit_mib():
            found.append(f"memory grows: {samples.growth_mib():.2f} MiB, allowed {samples.limit_mib():.2f}")
        if any(sample.calls < self.idle for sample in samples.all):
            found.append("there were fewer sockets than visitors who hold theirs")
        if (served := counts[SERVED]) != self.idle:
            found.append(f"of {self.idle} idle sockets {served} were served at the end")
        if self.left:
            found.append(f"left behind: {', '.join(f'{n} {name}' for name, n in self.left.items())}")
        if self.log:
            found.append(f"the server's log has {len(self.log.splitlines())} lines of warnings")
        if self.exit_code != 0:
            found.append(f"the server ended with exit code {self.exit_code}")
        if self.busy and not counts["answers"]:
            found.append("there was no answer at all")
        return found

    def figures(self) -> dict[str, object]:
        """Everything measured, as JSON has it."""
        return {
            "verdict": "failed" if self.problems() else "passed",
            "problems": self.problems(),
            "idle": self.idle,
            "busy": self.busy,
            "minutes": self.minutes,
            "seed": self.seed,
            "counts": dict(sorted(self.tally.counts.items())),
            "wrong": self.tally.wrong,
            "added latency ms": {door: _latency(took) for door, (_, took) in self._answers()},
            "added p95 ms by minute": {door: list(self._by_minute(*each)) for door, each in self._answers()},
            "lateness of the visitors p95 ms": round(percentile_ms(self.late_s, 95), 2),
            "memory slope MiB a minute": round(self.samples.slope_mib_per_min(), 4),
            "memory growth MiB": round(self.samples.growth_mib(), 3),
            "memory growth allowed MiB": round(self.samples.limit_mib(), 3),
            "left behind": dict(self.left),
            "server's log": self.log.splitlines(),
            "server's CPU seconds": round(self.server_cpu_s, 1),
            "samples": self.samples.raw(),
        }

    def _answers(self) -> Iterator[tuple[str, tuple[Sequence[float], Sequence[float]]]]:
        yield from sorted(self.tally.answers.items())

    def _by_minute(self, when: Sequence[float], took: Sequence[float]) -> Iterator[float]:
        minutes: dict[int, list[float]] = {}
        for at_s, seconds in zip(when, took, strict=True):
            minutes.setdefault(int((at_s - self.began_s) / 60), []).append(seconds)
        for _, each in sorted(minutes.items()):
            yield round(percentile_ms(each, 95), 2)

    def say(self, line: str) -> None:
        """Print a line, and keep it."""
        self.lines.append(line)
        print(line, flush=True)


def _latency(took: Sequence[float]) -> dict[str, float]:
    told = {f"p{percent}": round(percentile_ms(took, percent), 2) for percent in (50, 95, 99)}
    return told | {"most": round(max(took) * 1000, 2), "answers": len(took)}


def judge(result: Result) -> None:
    """Say what came of it."""
    samples = result.samples
    result.say(
        f"memory after the warm-up: {samples.slope_mib_per_min():+.3f} MiB a minute, "
        f"{samples.growth_mib():+.2f} MiB in all; allowed {samples.limit_mib():.2f}"
    )
    for door, (_, took) in sorted(result.tally.answers.items()):
        told = ", ".join(f"{name} {value:g}" for name, value in _latency(took).items())
        result.say(f"added latency at {door}, ms: {told}")
    result.say(f"the visitors themselves were late by {percentile_ms(result.late_s, 95):.1f} ms (p95)")
    for wrong in result.tally.wrong[:_MOST_SHOWN]:
        result.say(f"wrong: {wrong}")
    for line in result.log.splitlines()[:_MOST_SHOWN]:
        result.say(f"log: {line}")
    problems = result.problems()
    for problem in problems:
        result.say(f"FAILED: {problem}")
    if not problems:
        flat = "memory is flat" if result.minutes >= LEAST_MINUTES else "too short to judge memory"
        result.say(f"PASSED: {flat}, nothing is left behind, every answer was right")
