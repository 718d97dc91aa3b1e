"""Endurance: calls over real sockets for minutes; memory stays flat, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import anyio
from anyio import to_thread

from soak.caller import Caller, SocketCaller
from soak.manners import manners
from soak.memory import Sample, Samples
from soak.server import Holding, SoakServer, serve
from soak.witness import Tally

LEAST_MINUTES: Final = 5.0
"""A shorter trial says nothing about memory: the heap has not found its size."""
_SAMPLE_S: Final = 5.0
_PROGRESS_S: Final = 10.0
_REST_S: Final = 5.0
"""After the last hang-up, until nothing may be left."""
_SETTLE_S: Final = 2.0
_MOST_SHOWN: Final = 20


@dataclass
class Result:
    """What came of a trial."""

    calls: int
    minutes: float
    seed: int
    tally: Tally = field(default_factory=Tally)
    samples: Samples = field(default_factory=Samples)
    lines: list[str] = field(default_factory=list)
    """What was printed."""
    server_cpu_s: float = 0.0
    left: Mapping[str, int] = field(default_factory=dict)
    """What the server holds after the last call beyond what it held before the first."""
    log: str = ""
    exit_code: int | None = None

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
        if not self.tally.counts["answers ok"]:
            found.append("there was no answer at all")
        return found

    def figures(self) -> dict[str, object]:
        """Everything measured, raw, as JSON has it."""
        return {
            "verdict": "failed" if self.problems() else "passed",
            "problems": self.problems(),
            "callers": self.calls,
            "minutes": self.minutes,
            "seed": self.seed,
            "counts": dict(sorted(self.tally.counts.items())),
            "wrong": self.tally.wrong,
            "memory slope MiB a minute": round(self.samples.slope_mib_per_min(), 4),
            "memory growth MiB": round(self.samples.growth_mib(), 3),
            "memory growth allowed MiB": round(self.samples.limit_mib(), 3),
            "left behind": dict(self.left),
            "server's log": self.log.splitlines(),
            "server's CPU seconds": round(self.server_cpu_s, 1),
            "samples": self.samples.raw(),
        }

    def say(self, line: str) -> None:
        """Print a line, and keep it."""
        self.lines.append(line)
        print(line, flush=True)


async def endure(calls: int, minutes: float, seed: int) -> Result:
    """Hold so many calls over the voice socket for so long."""
    result = Result(calls, minutes, seed)
    result.say(f"endurance: {calls} callers for {minutes:g} minutes, seed {seed}")
    kinds = await to_thread.run_sync(manners)
    with serve() as server:
        callers = [
            SocketCaller(server.port, f"caller-{number}", kinds, result.tally, seed + number)
            for number in range(calls)
        ]
        await hold(server, callers, result)
    return result


async def hold(
    server: SoakServer,
    callers: Sequence[Caller],
    result: Result,
    left: Callable[[], Mapping[str, int]] = dict,
) -> None:
    """Let callers call for as long as `result` says, and judge. `left` says what else is left in the end."""
    await anyio.sleep(_SETTLE_S)
    idle = await to_thread.run_sync(server.holding)
    async with anyio.create_task_group() as tasks:
        for caller in callers:
            tasks.start_soon(caller.run)
        await _watch(server, result, result.minutes * 60)
        tasks.cancel_scope.cancel()
    result.server_cpu_s = server.cpu_s()
    await anyio.sleep(_REST_S)
    await _account(server, result, idle)
    result.left = {**result.left, **left()}
    _judge(result)


async def _watch(server: SoakServer, result: Result, seconds: float) -> None:
    """Take samples, and tell how it goes."""
    began_s = anyio.current_time()
    before_cpu_s = server.cpu_s()
    next_sample_s, next_line_s = 0.0, _PROGRESS_S
    while (now_s := anyio.current_time() - began_s) < seconds:
        if now_s >= next_sample_s:
            next_sample_s += _SAMPLE_S
            result.samples.all.append(await to_thread.run_sync(_sample, server, now_s))
        if now_s >= next_line_s:
            next_line_s += _PROGRESS_S
            cpu_s = server.cpu_s()
            result.say(_progress(result, (cpu_s - before_cpu_s) / _PROGRESS_S))
            before_cpu_s = cpu_s
        await anyio.sleep(min(next_sample_s, next_line_s, seconds) - now_s)


def _sample(server: SoakServer, at_s: float) -> Sample:
    holding = server.holding(objects=False)
    calls = holding.tasks.get("LiveCall.run", 0)
    return Sample(
        round(at_s, 1),
        holding.memory_mib,
        holding.descriptors,
        holding.native_threads,
        sum(holding.tasks.values()),
        holding.blocks,
        calls,
    )


def _progress(result: Result, cpu: float) -> str:
    sample, counts = result.samples.all[-1], result.tally.counts
    return (
        f"{sample.at_s:6.0f} s  {sample.memory_mib:7.2f} MiB  {sample.descriptors:3} descriptors  "
        f"{sample.threads:2} threads  {sample.tasks:3} tasks  CPU {cpu:4.0%}  {counts['calls']:5} calls  "
        f"{counts['answers ok']:5} answers  {counts['answers interrupted']:5} interrupted  "
        f"{len(result.tally.wrong)} wrong"
    )


async def _account(server: SoakServer, result: Result, idle: Holding) -> None:
    """Note what is left after the last call, and stop the server."""
    rest = await to_thread.run_sync(server.holding)
    held = sum(value for name, value in server.figures().items() if name.startswith("jackfield_calls{"))
    result.left = rest.beyond(idle) | ({"calls on /metrics": int(held)} if held else {})
    result.say(f"idle before the first call: {_told(idle)}")
    result.say(f"{_REST_S:g} s after the last:       {_told(rest)}")
    await to_thread.run_sync(server.stop)
    result.log, result.exit_code = server.log(), server.stopped_with


def _told(holding: Holding) -> str:
    return (
        f"{holding.memory_mib:.2f} MiB, {holding.descriptors} descriptors, {holding.sockets} sockets, "
        f"{holding.native_threads} threads, {sum(holding.tasks.values())} tasks, "
        f"{sum(holding.objects.values())} objects of calls"
    )


def _judge(result: Result) -> None:
    samples = result.samples
    result.say(
        f"memory after the warm-up: {samples.slope_mib_per_min():+.3f} MiB a minute, "
        f"{samples.growth_mib():+.2f} MiB in all; allowed {samples.limit_mib():.2f}"
    )
    for wrong in result.tally.wrong[:_MOST_SHOWN]:
        result.say(f"wrong: {wrong}")
    for line in result.log.splitlines()[:_MOST_SHOWN]:
        result.say(f"log: {line}")
    problems = result.problems()
    for problem in problems:
        result.say(f"FAILED: {problem}")
    if not problems:
        flat = "memory is flat" if result.minutes >= LEAST_MINUTES else "too short to judge memory"
        result.say(f"PASSED: {flat}, nothing is left behind, every answer was fresh")
