"""Watching the server of a trial: samples while it lasts, and what is left after its end."""

from __future__ import annotations

from typing import Final

import anyio
from anyio import to_thread

from soak.result import Result
from soak.server import Holding, SoakServer

_SAMPLE_S: Final = 5.0
_PROGRESS_S: Final = 10.0
_REST_S: Final = 5.0
"""After the last hang-up, until nothing may be left."""


async def watch(server: SoakServer, result: Result, seconds: float) -> None:
    """Take samples for so long, and tell how it goes."""
    began_s = anyio.current_time()
    before_cpu_s = server.cpu_s()
    next_sample_s, next_line_s = 0.0, _PROGRESS_S
    while (now_s := anyio.current_time() - began_s) < seconds:
        if now_s >= next_sample_s:
            next_sample_s += _SAMPLE_S
            holding = await to_thread.run_sync(lambda: server.holding(objects=False))
            result.samples.all.append(holding.sample(now_s, result.task))
        if now_s >= next_line_s:
            next_line_s += _PROGRESS_S
            cpu_s = server.cpu_s()
            result.say(result.progress((cpu_s - before_cpu_s) / _PROGRESS_S))
            before_cpu_s = cpu_s
        await anyio.sleep(max(0.0, min(next_sample_s, next_line_s, seconds) - now_s))


async def account(server: SoakServer, result: Result, idle: Holding) -> None:
    """Rest, note what is left beyond what was held when idle, and stop the server."""
    await anyio.sleep(_REST_S)
    rest = await to_thread.run_sync(server.holding)
    metric = f"jackfield_{result.held}s{{"
    held = int(sum(value for name, value in server.figures().items() if name.startswith(metric)))
    result.left = rest.beyond(idle) | ({f"{result.held}s on /metrics": held} if held else {})
    result.say(f"before the first {result.held}: {_told(idle, result.held)}")
    result.say(f"{_REST_S:g} s after the last: {_told(rest, result.held)}")
    await to_thread.run_sync(server.stop)
    result.log, result.exit_code = server.log(), server.stopped_with


def _told(holding: Holding, held: str) -> str:
    return (
        f"{holding.memory_mib:.2f} MiB, {holding.descriptors} descriptors, {holding.sockets} sockets, "
        f"{holding.native_threads} threads, {sum(holding.tasks.values())} tasks, "
        f"{sum(holding.objects.values())} objects of {held}s"
    )
