"""What came of holding sockets: latencies beside memory, what was wrong and what was left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

from bench.call_load import percentile_ms
from soak.result import Result
from soak.visitors import SERVED, VisitorTally

_NEWEST: Final = 200
"""Answers of each door that progress is told of."""


@dataclass
class SocketResult(Result):
    """What came of holding sockets. The `calls` of its samples are the server's WebSockets."""

    held: ClassVar = "socket"
    task: ClassVar = "JsonSocket.send_waiting"
    promise: ClassVar = "every answer was right"

    idle: int
    busy: int
    tally: VisitorTally = field(default_factory=VisitorTally, kw_only=True)
    began_s: float = field(default=0.0, kw_only=True)
    late_s: list[float] = field(default_factory=list, kw_only=True)
    """By how much the visitors themselves were late."""

    def size(self) -> Mapping[str, int]:
        return {"idle": self.idle, "busy": self.busy}

    def missing(self) -> Sequence[str]:
        counts, found = self.tally.counts, []
        if any(sample.calls < self.idle for sample in self.samples.all):
            found.append("there were fewer sockets than visitors who hold theirs")
        if (served := counts[SERVED]) != self.idle:
            found.append(f"of {self.idle} idle sockets {served} were served at the end")
        if self.busy and not counts["answers"]:
            found.append("there was no answer at all")
        return found

    def progress(self, cpu: float) -> str:
        sample, tally = self.samples.all[-1], self.tally
        newest = [took for _, each in tally.answers.values() for took in each[-_NEWEST:]]
        return (
            f"{sample.at_s:6.0f} s  {sample.memory_mib:7.2f} MiB  {sample.calls:4} sockets  "
            f"{sample.tasks:5} tasks  CPU {cpu:4.0%}  {tally.counts['answers']:6} answers, "
            f"p95 {percentile_ms(newest, 95):6.1f} ms  {tally.counts['conversations']:5} conversations  "
            f"{len(tally.wrong)} wrong"
        )

    def latencies(self) -> Mapping[str, object]:
        answers = sorted(self.tally.answers.items())
        return {
            "added latency ms": {door: _latency(took) for door, (_, took) in answers},
            "added p95 ms by minute": {door: list(self._by_minute(*each)) for door, each in answers},
            "lateness of the visitors p95 ms": round(percentile_ms(self.late_s, 95), 2),
        }

    def latency_lines(self) -> Sequence[str]:
        lines = []
        for door, (_, took) in sorted(self.tally.answers.items()):
            told = ", ".join(f"{name} {value:g}" for name, value in _latency(took).items())
            lines.append(f"added latency at {door}, ms: {told}")
        return [*lines, f"the visitors themselves were late by {percentile_ms(self.late_s, 95):.1f} ms (p95)"]

    def _by_minute(self, when: Sequence[float], took: Sequence[float]) -> Iterator[float]:
        minutes: dict[int, list[float]] = {}
        for at_s, seconds in zip(when, took, strict=True):
            minutes.setdefault(int((at_s - self.began_s) / 60), []).append(seconds)
        for _, each in sorted(minutes.items()):
            yield round(percentile_ms(each, 95), 2)


def _latency(took: Sequence[float]) -> dict[str, float]:
    told = {f"p{percent}": round(percentile_ms(took, percent), 2) for percent in (50, 95, 99)}
    return told | {"most": round(max(took) * 1000, 2), "answers": len(took)}
