"""How busy other programs keep the machine: figures taken beside busy neighbours are not its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import psutil


@dataclass(frozen=True, slots=True)
class Moment:
    """Seconds until now, since some beginning."""

    at_s: float
    others_s: float
    """Processor time of all processors that went to others."""


class Neighbours:
    """Watches everything that runs besides `processes` and this process."""

    def __init__(self, processes: Sequence[int]) -> None:
        self._ours = [psutil.Process(each) for each in (*processes, os.getpid())]

    def moment(self) -> Moment:
        """Look at the clocks; exact to the hundredth of a second."""
        times = psutil.cpu_times()
        idle_s = times.idle + getattr(times, "iowait", 0.0)
        guest_s = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # in user and nice already
        ours_s = sum(each.user + each.system for each in (process.cpu_times() for process in self._ours))
        return Moment(perf_counter(), sum(times) - guest_s - idle_s - ours_s)

    def share(self, since: Moment, until: Moment) -> float:
        """What others took of all processors between two moments, 0 to 1."""
        took_s = until.others_s - since.others_s
        lasted_s = max(until.at_s - since.at_s, 1e-9) * (os.cpu_count() or 1)
        return min(1.0, max(0.0, took_s / lasted_s))
