"""Endurance: calls over real sockets for minutes; memory stays flat, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import anyio
from anyio import to_thread

from soak.caller import Caller, SocketCaller
from soak.manners import manners
from soak.result import Result
from soak.server import SoakServer, serve
from soak.watch import account, watch

_SETTLE_S: Final = 2.0


@dataclass
class CallResult(Result):
    """What came of holding calls."""

    held: ClassVar = "call"
    task: ClassVar = "LiveCall.run"
    promise: ClassVar = "every answer was fresh"

    calls: int

    def size(self) -> Mapping[str, int]:
        return {"callers": self.calls}

    def missing(self) -> Sequence[str]:
        return [] if self.tally.counts["answers ok"] else ["there was no answer at all"]

    def progress(self, cpu: float) -> str:
        sample, counts = self.samples.all[-1], self.tally.counts
        return (
            f"{sample.at_s:6.0f} s  {sample.memory_mib:7.2f} MiB  {sample.descriptors:3} descriptors  "
            f"{sample.threads:2} threads  {sample.tasks:3} tasks  CPU {cpu:4.0%}  {counts['calls']:5} calls  "
            f"{counts['answers ok']:5} answers  {counts['answers interrupted']:5} interrupted  "
            f"{len(self.tally.wrong)} wrong"
        )


async def endure(calls: int, minutes: float, seed: int) -> CallResult:
    """Hold so many calls over the voice socket for so long."""
    result = CallResult(calls, minutes=minutes, seed=seed)
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
    result: CallResult,
    left: Callable[[], Mapping[str, int]] = dict,
) -> None:
    """Let callers call for as long as `result` says, and judge. `left` says what else is left in the end."""
    await anyio.sleep(_SETTLE_S)
    idle = await to_thread.run_sync(server.holding)
    async with anyio.create_task_group() as tasks:
        for caller in callers:
            tasks.start_soon(caller.run)
        await watch(server, result, result.minutes * 60)
        tasks.cancel_scope.cancel()
    result.server_cpu_s = server.cpu_s()
    await account(server, result, idle)
    result.left = {**result.left, **left()}
    result.judge()
