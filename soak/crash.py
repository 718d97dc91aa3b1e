"""Crashes: a store's process is killed again and again while it is written to, and comes back with its data.

Whatever a store acknowledged must be there in the end, once and in order. What was under way when it was
killed is in doubt: its writer gets an error, and looks afterwards. The store's object is the same all the
time; it has to recover by itself.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import anyio
from anyio import to_thread

from soak.ledger import Comparison, Ledger
from soak.printing import Printing
from soak.stores import SUBJECTS, StoreProcess, Subject
from soak.writers import RecordWriter, TriedStore, WindowWriter, Writer, record_contents, window_contents

_WRITERS: Final = 4
"""Of each of four kinds: windows and records, each writer its own conversations, or all of them the same."""
_WARM: Final = 40
"""Messages that are acknowledged between two kills, at least."""
_RECOVERY_S: Final = 20.0
_MOST_SHOWN: Final = 20


@dataclass
class Result(Printing):
    """What came of a trial."""

    store: str
    kills: int
    seed: int
    windows: Ledger = field(default_factory=Ledger)
    records: Ledger = field(default_factory=Ledger)
    comparison: Comparison = field(default_factory=Comparison)
    recoveries_s: list[float] = field(default_factory=list)
    """From the store's process answering again to the first message that it acknowledged."""
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    @property
    def acknowledged(self) -> int:
        """Messages that are stored for certain."""
        return self.windows.acknowledged + self.records.acknowledged

    def problems(self) -> list[str]:
        """Why the trial failed; nothing when it did not."""
        found = [*self.wrong, *self.comparison.wrong]
        if self.acknowledged != self.comparison.stored:
            found.append(
                f"{self.acknowledged} messages were acknowledged, {self.comparison.stored} are stored"
            )
        if not self.windows.errors + self.records.errors:
            found.append("no operation failed: was anything killed under load?")
        if len(self.recoveries_s) < self.kills:
            found.append(f"it recovered {len(self.recoveries_s)} times of {self.kills}")
        return found

    def figures(self) -> dict[str, object]:
        """Everything measured, as JSON has it."""
        ledgers = self.windows, self.records
        return {
            "verdict": "failed" if self.problems() else "passed",
            "problems": self.problems()[:_MOST_SHOWN],
            "store": self.store,
            "kills": self.kills,
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "messages acknowledged": self.acknowledged,
            "messages stored": self.comparison.stored,
            "operations that failed": sum(ledger.errors for ledger in ledgers),
            "messages in doubt that were stored": sum(ledger.found for ledger in ledgers),
            "messages in doubt that were not": sum(ledger.repeated for ledger in ledgers),
            "longest recovery ms": round(1000 * max(self.recoveries_s, default=0.0), 1),
            "median recovery ms": round(1000 * _median(self.recoveries_s), 1),
        }


async def crash(name: str, kills: int, seed: int) -> Result:
    """Kill a store so many times; says how it went."""
    result = Result(name, kills, seed)
    result.say(f"crash: {name} is killed {kills} times, seed {seed}")
    with TemporaryDirectory() as folder:
        await try_store(SUBJECTS[name](Path(folder)), result)
    for key, value in result.figures().items():
        result.say(f"  {key}: {value}")
    result.say("FAILED" if result.problems() else "PASSED")
    return result


async def try_store(subject: Subject, result: Result) -> None:
    """Hold the trial, and write what came of it into `result`."""
    began_s = time.monotonic()
    process, below = subject.process, subject.below
    if below is not None:
        await to_thread.run_sync(below.start)
    try:
        await to_thread.run_sync(process.start)
        async with subject.open() as store, anyio.create_task_group() as tasks:
            for writer in _writers(store, subject.kinds, result):
                tasks.start_soon(writer.run)
            await _kill_repeatedly(process, result)
            tasks.cancel_scope.cancel()
        async with subject.open() as store:
            await _compare(store, result)
    finally:
        await to_thread.run_sync(process.kill)
        if below is not None:
            await to_thread.run_sync(below.kill)
        result.seconds = time.monotonic() - began_s


def _writers(store: TriedStore, wanted: Sequence[str], result: Result) -> Sequence[Writer]:
    kinds = (("window", WindowWriter, result.windows), ("records", RecordWriter, result.records))
    return [
        kind(store, ledger, f"{where}-{number}", place)
        for where, kind, ledger in kinds
        if where in wanted
        for number in range(2 * _WRITERS)
        for place in [f"{where}-shared" if number < _WRITERS else f"{where}-{number}"]
    ]


async def _kill_repeatedly(process: StoreProcess, result: Result) -> None:
    dice = random.Random(result.seed)
    for number in range(result.kills):
        try:
            await _acknowledged(result, _WARM)
            await anyio.sleep(dice.uniform(0, 0.2))
            await to_thread.run_sync(process.kill)
            await anyio.sleep(dice.uniform(0, 0.1))
            await to_thread.run_sync(process.start)
            began_s = time.monotonic()
            await _acknowledged(result, 1)
            result.recoveries_s.append(time.monotonic() - began_s)
        except TimeoutError:
            result.wrong.append(f"after kill {number} nothing was stored for {_RECOVERY_S:g} s")
            return
        if (number + 1) % 10 == 0:
            result.say(f"  {number + 1} kills: {result.acknowledged} messages acknowledged")


async def _acknowledged(result: Result, messages: int) -> None:
    """Wait until so many more messages are stored."""
    wanted = result.acknowledged + messages
    with anyio.fail_after(_RECOVERY_S):
        while result.acknowledged < wanted:
            await anyio.sleep(0.002)


async def _compare(store: TriedStore, result: Result) -> None:
    for place, pairs in result.windows.pairs.items():
        result.comparison.add(place, await window_contents(store, place), pairs)
    for place, pairs in result.records.pairs.items():
        user_id = place.rpartition("-")[0]
        result.comparison.add(place, await record_contents(store, user_id, place), pairs)


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2] if values else 0.0
