"""What came of holding calls or sockets for minutes: memory, what was wrong or left, and the verdict."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

from soak.memory import Samples
from soak.printing import Printing
from soak.tally import Tally

LEAST_MINUTES: Final = 5.0
"""A shorter trial says nothing about memory: the heap has not found its size."""
_MOST_SHOWN: Final = 20


@dataclass(kw_only=True)
class Result(Printing, ABC):
    """What came of a trial."""

    held: ClassVar[str]
    """What is held, as in `jackfield_calls` without its plural."""
    task: ClassVar[str]
    """The task of the server that there is one of for each that is held."""
    promise: ClassVar[str]
    """What every answer was, when nothing was wrong."""

    minutes: float
    seed: int
    tally: Tally = field(default_factory=Tally)
    samples: Samples = field(default_factory=Samples)
    server_cpu_s: float = 0.0
    left: Mapping[str, int] = field(default_factory=dict)
    """What the server holds after the last call or socket beyond what it held before the first."""
    log: str = ""
    exit_code: int | None = None

    @abstractmethod
    def size(self) -> Mapping[str, int]:
        """How many there were, by kind."""

    @abstractmethod
    def missing(self) -> Sequence[str]:
        """What should have come about and did not."""

    @abstractmethod
    def progress(self, cpu: float) -> str:
        """How it goes: a line about the newest sample. `cpu` is the server's share of a processor."""

    def latencies(self) -> Mapping[str, object]:
        """What was measured of answers."""
        return {}

    def latency_lines(self) -> Sequence[str]:
        """Tell it."""
        return ()

    def problems(self) -> list[str]:
        """Why the trial failed; nothing when it did not."""
        wrong, samples = self.tally.wrong, self.samples
        found = [f"{len(wrong)} times something was wrong, such as: {each}" for each in wrong[:1]]
        if self.minutes >= LEAST_MINUTES and not samples.growth_mib() <= samples.limit_mib():
            found.append(f"memory grows: {samples.growth_mib():.2f} MiB, allowed {samples.limit_mib():.2f}")
        if self.left:
            found.append(f"left behind: {', '.join(f'{n} {name}' for name, n in self.left.items())}")
        if self.log:
            found.append(f"the server's log has {len(self.log.splitlines())} lines of warnings")
        if self.exit_code != 0:
            found.append(f"the server ended with exit code {self.exit_code}")
        return [*found, *self.missing()]

    def figures(self) -> dict[str, object]:
        """Everything measured, raw, as JSON has it."""
        return {
            "verdict": "failed" if self.problems() else "passed",
            "problems": self.problems(),
            **self.size(),
            "minutes": self.minutes,
            "seed": self.seed,
            "counts": dict(sorted(self.tally.counts.items())),
            "wrong": self.tally.wrong,
            **self.latencies(),
            "memory slope MiB a minute": round(self.samples.slope_mib_per_min(), 4),
            "memory growth MiB": round(self.samples.growth_mib(), 3),
            "memory growth allowed MiB": round(self.samples.limit_mib(), 3),
            "left behind": dict(self.left),
            "server's log": self.log.splitlines(),
            "server's CPU seconds": round(self.server_cpu_s, 1),
            "samples": self.samples.raw(),
        }

    def judge(self) -> None:
        """Say what came of it."""
        samples = self.samples
        self.say(
            f"memory after the warm-up: {samples.slope_mib_per_min():+.3f} MiB a minute, "
            f"{samples.growth_mib():+.2f} MiB in all; allowed {samples.limit_mib():.2f}"
        )
        for line in self.latency_lines():
            self.say(line)
        for wrong in self.tally.wrong[:_MOST_SHOWN]:
            self.say(f"wrong: {wrong}")
        for line in self.log.splitlines()[:_MOST_SHOWN]:
            self.say(f"log: {line}")
        problems = self.problems()
        for problem in problems:
            self.say(f"FAILED: {problem}")
        if not problems:
            flat = "memory is flat" if self.minutes >= LEAST_MINUTES else "too short to judge memory"
            self.say(f"PASSED: {flat}, nothing is left behind, {self.promise}")
