"""Whether memory grows: samples of a process, and the line through them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from statistics import linear_regression
from typing import Final

WARM: Final = 0.5
"""Share of a trial after which memory has to be flat: caches are full, the heap has found its size."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen at one moment."""

    at_s: float
    memory_mib: float
    descriptors: int
    threads: int
    tasks: int
    blocks: int
    """Of Python's own allocator: they rise until the garbage collector's next full round."""
    calls: int


@dataclass(slots=True)
class Samples:
    """Samples in the order of time."""

    all: list[Sample] = field(default_factory=list)

    def warm(self) -> list[Sample]:
        """Those after the warm-up."""
        return [sample for sample in self.all if sample.at_s >= WARM * self.all[-1].at_s]

    def slope_mib_per_min(self) -> float:
        """By how much the memory grows a minute, after the warm-up."""
        warm = self.warm()
        if len(warm) < 2:
            return float("nan")
        slope = linear_regression([s.at_s for s in warm], [s.memory_mib for s in warm]).slope
        return slope * 60

    def growth_mib(self) -> float:
        """By how much the line through the samples rises from the warm-up to the end."""
        warm = self.warm()
        return self.slope_mib_per_min() * (warm[-1].at_s - warm[0].at_s) / 60

    def limit_mib(self) -> float:
        """Growth that is still taken for none: a fiftieth of the memory, for the heap is never quite even."""
        return self.warm()[0].memory_mib / 50

    def raw(self) -> list[dict[str, float]]:
        """As JSON has them."""
        return [{name: round(value, 2) for name, value in asdict(sample).items()} for sample in self.all]
