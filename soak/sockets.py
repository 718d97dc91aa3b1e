"""Sockets: hundreds that hold theirs and say nothing, beside many that ask all the time, on one process.

The visitors are a process of their own, and so is the server behind the proxy. The model takes no time: how
long an answer takes is what the server adds. Conversations are kept in the server's memory, and deleted when
their visitors have finished with them.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import Final

import anyio
from anyio import to_thread

from soak.server import COMMON, FAR_LIMITS, SoakServer, serve
from soak.socket_result import SocketResult
from soak.tongues import TONGUES
from soak.visitors import Visitor, VisitorTally
from soak.watch import account, watch

_SETTLE_S: Final = 4.0
_CONNECTING_S: Final = 0.01
"""Between two that come."""
_FINALE_S: Final = 60.0
"""Until every idle visitor has been served."""
_LAG_S: Final = 0.1

_BEHIND: Final = f"""
{COMMON}
{FAR_LIMITS}
[[transport]]
use = "relay_chat"
"""
_DOORS: Final = """
[auth.users]
use = "api_token"
[auth.users.options.tokens]
{tokens}
[[transport]]
use = "chat_app"
mount = "/app"
auth = "users"
[[transport]]
use = "pichat"
mount = "/pi"
auth = "users"
[[transport]]
use = "smart_proxy"
mount = "/proxy"
options.backend.url = "http://127.0.0.1:{behind}"
"""


class Trial:
    """The visitors of one server."""

    def __init__(self, server: SoakServer, tokens: Sequence[str], result: SocketResult) -> None:
        self._server = server
        self._tokens = tokens
        self._result = result
        self._finale = anyio.Event()

    async def warm_up(self) -> None:
        """Visit every door once, so that what is made once is made."""
        for number in range(len(TONGUES)):
            await self._visitor(number, VisitorTally()).converse(1)
        await anyio.sleep(_SETTLE_S)

    async def run(self, seconds: float) -> None:
        """Let visitors come, stay and leave."""
        result = self._result
        async with anyio.create_task_group() as idlers:
            connected = []
            for number in range(result.idle):
                connected.append(anyio.Event())
                idlers.start_soon(self._hold, number, connected[-1])
                await anyio.sleep(_CONNECTING_S)
            for each in connected:
                await each.wait()
            result.say(f"{result.idle} idle sockets are open")
            await self._busy(seconds)
            idlers.cancel_scope.deadline = anyio.current_time() + _FINALE_S
            self._finale.set()

    async def _hold(self, number: int, connected: anyio.Event) -> None:
        """Hold one; those who came one after the other ask so too."""
        visitor = self._visitor(number, self._result.tally)
        patience_s = _CONNECTING_S * number
        await visitor.hold(until=self._finale, connected=connected, patience_s=patience_s)

    async def _busy(self, seconds: float) -> None:
        result = self._result
        result.began_s = time.perf_counter()
        before_cpu_s = self._server.cpu_s()
        async with anyio.create_task_group() as tasks:
            for number in range(result.idle, result.idle + result.busy):
                tasks.start_soon(self._visitor(number, result.tally).talk)
            tasks.start_soon(self._lag)
            await watch(self._server, result, seconds)
            tasks.cancel_scope.cancel()
        result.server_cpu_s = self._server.cpu_s() - before_cpu_s

    def _visitor(self, number: int, tally: VisitorTally) -> Visitor:
        name = f"visitor-{number}"
        tongue = TONGUES[number % len(TONGUES)](name, self._tokens[number])
        return Visitor(self._server.port, name, tongue, tally, self._result.seed + number)

    async def _lag(self) -> None:
        while True:
            due_s = anyio.current_time() + _LAG_S
            await anyio.sleep(_LAG_S)
            self._result.late_s.append(anyio.current_time() - due_s)


async def hold(idle: int, busy: int, minutes: float, seed: int) -> SocketResult:
    """Hold so many sockets for so long."""
    result = SocketResult(idle, busy, minutes=minutes, seed=seed)
    result.say(f"sockets: {idle} idle and {busy} busy for {minutes:g} minutes, seed {seed}")
    tokens = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(idle + busy + len(TONGUES))]
    with serve(_BEHIND) as behind, serve(_config(tokens, behind.port)) as server:
        trial = Trial(server, tokens, result)
        await trial.warm_up()
        before = await to_thread.run_sync(server.holding)
        await trial.run(minutes * 60)
        await account(server, result, before)
        await to_thread.run_sync(behind.stop)
        result.log += behind.log()
    result.judge()
    return result


def _config(tokens: Sequence[str], behind: int) -> str:
    lines = "\n".join(f'visitor-{number} = "{token}"' for number, token in enumerate(tokens))
    return COMMON + FAR_LIMITS + _DOORS.format(tokens=lines, behind=behind)
