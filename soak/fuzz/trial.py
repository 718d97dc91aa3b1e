"""The whole trial: everything that can be fuzzed, in turn, until the time is over."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from soak.fuzz.clips import check_clips, fuzz_clips
from soak.fuzz.document import DocumentResult, fuzz_document
from soak.fuzz.findings import Findings
from soak.fuzz.house import House
from soak.fuzz.offers import fuzz_commands, fuzz_offers
from soak.fuzz.requests import fuzz_requests
from soak.fuzz.sockets import SocketFuzzer
from soak.memory import Samples
from soak.printing import Printing
from tests.postgres_server import PostgresServer

_DOCUMENT_SHARE: Final = 0.25
"""Of the time, for what `/openapi.json` describes."""
_SOCKETS: Final = 80
_REQUESTS: Final = 80
_CLIPS: Final = 28
_OFFERS: Final = 20
_COMMANDS: Final = 80
_CASES: Final = _SOCKETS + _REQUESTS + _CLIPS + _OFFERS + _COMMANDS
"""Of a round."""
_JUDGED_MINUTES: Final = 3.0
"""A shorter trial says nothing about memory."""
_MOST_BLOCKS: Final = 5.0
"""Answers are cached, some blocks each. What the process holds says less: a heap that has held recordings and
large messages is never even."""
_MOST_SHOWN: Final = 20


@dataclass
class Result(Printing):
    """What came of a trial."""

    minutes: float
    seed: int
    findings: Findings = field(default_factory=Findings)
    document: DocumentResult | None = None
    samples: Samples = field(default_factory=Samples)
    left: Mapping[str, int] = field(default_factory=dict)
    """What the server holds in the end beyond what it held before."""
    troubles: list[str] = field(default_factory=list)
    """Of the logs."""
    rounds: int = 0

    def problems(self) -> list[str]:
        """Why the trial failed; nothing when it did not."""
        wrong = self.findings.wrong
        found = [f"{len(wrong)} times something was wrong, such as: {each}" for each in wrong[:1]]
        found += self.troubles
        found += self.document.problems if self.document else ["nothing was asked of /openapi.json"]
        if self.left:
            found.append(f"left behind: {dict(self.left)}")
        if self.minutes >= _JUDGED_MINUTES and not self.blocks_a_case() <= _MOST_BLOCKS:
            found.append(f"memory grows: {self.blocks_a_case():.1f} blocks a case, allowed {_MOST_BLOCKS:g}")
        return found

    def blocks_a_case(self) -> float:
        """Blocks of Python's memory that each case of the second half leaves behind."""
        warm = self.samples.warm()
        if len(warm) < 2:
            return 0.0
        return (warm[-1].blocks - warm[0].blocks) / (len(warm) - 1) / _CASES

    def figures(self) -> dict[str, object]:
        """Everything measured, raw, as JSON has it."""
        return {
            "verdict": "failed" if self.problems() else "passed",
            "problems": self.problems(),
            "minutes": self.minutes,
            "seed": self.seed,
            "rounds": self.rounds,
            "counts": dict(sorted(self.findings.counts.items())),
            "wrong": self.findings.wrong,
            "cases of the document": self.document.cases if self.document else 0,
            "operations of the document": self.document.operations if self.document else 0,
            "left behind": dict(self.left),
            "memory growth MiB": round(self.samples.growth_mib(), 3),
            "blocks of memory a case": round(self.blocks_a_case(), 2),
            "blocks of memory allowed": _MOST_BLOCKS,
            "samples": self.samples.raw(),
        }


def fuzz(minutes: float, seed: int) -> Result:
    """Fuzz for so long; the seed repeats the cases, if not how they meet."""
    result = Result(minutes, seed)
    result.say(f"fuzz: {minutes:g} minutes, seed {seed}")
    with (
        tempfile.TemporaryDirectory(prefix="jackfield-fuzz-") as name,
        PostgresServer() as postgres,
        postgres.database() as url,
    ):
        folder = Path(name)
        with House(folder, database=url) as house:
            _run(house, folder / "document", result)
            result.troubles = house.troubles()
    _judge(result)
    return result


def _run(house: House, folder: Path, result: Result) -> None:
    began_s, findings = time.monotonic(), result.findings
    fuzzer = SocketFuzzer(house, result.seed, findings)
    warm_up(house, fuzzer)
    idle = house.holding()
    max_s = max(10, round(result.minutes * 60 * _DOCUMENT_SHARE))
    result.document = fuzz_document(
        folder, house.url, house.authorization, max_examples=1_000, seed=result.seed, max_s=max_s
    )
    result.say(f"/openapi.json: {result.document.cases} cases, {result.document.operations} operations")
    while (at_s := time.monotonic() - began_s) < result.minutes * 60:
        fuzzer.run(_cases(result.rounds, _SOCKETS))
        fuzz_requests(house, result.seed, _cases(result.rounds, _REQUESTS), findings)
        fuzz_clips(house, result.seed, _cases(result.rounds, _CLIPS), findings)
        fuzz_offers(house, result.seed, _cases(result.rounds, _OFFERS), findings)
        fuzz_commands(house, result.seed, _cases(result.rounds, _COMMANDS), findings)
        result.rounds += 1
        holding = house.holding()  # which collects garbage, so that it is not taken for growth
        result.samples.all.append(holding.sample(at_s, "LiveCall.run"))
        result.say(_progress(result))
    fuzzer.greet("in the end")
    check_clips(house, findings)
    result.left = house.left(idle)


def warm_up(house: House, fuzzer: SocketFuzzer) -> None:
    """Have everything opened that stays open."""
    for _ in range(3):
        fuzzer.greet("before the first case")
    check_clips(house, Findings())
    time.sleep(0.5)  # farewells are on their way


def _cases(number: int, count: int) -> range:
    return range(number * count, (number + 1) * count)


def _progress(result: Result) -> str:
    sample, counts = result.samples.all[-1], result.findings.counts
    return (
        f"{sample.at_s:6.0f} s  {sample.memory_mib:7.2f} MiB  {sample.descriptors:3} descriptors  "
        f"{sample.tasks:3} tasks  {result.rounds:4} rounds  {counts['errors told']:6} errors told  "
        f"{len(result.findings.wrong)} wrong"
    )


def _judge(result: Result) -> None:
    for wrong in result.findings.wrong[:_MOST_SHOWN]:
        result.say(f"wrong: {wrong}")
    problems = result.problems()
    if result.document and result.document.problems:
        print(result.document.output)
    for problem in problems:
        result.say(f"FAILED: {problem}")
    if not problems:
        result.say("PASSED: every case was answered as it should be, and nothing is left behind")
