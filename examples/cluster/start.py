"""Starts three replicas of one configuration and HAProxy in front of them, and keeps all of them running.

Ctrl-C stops everything. A process that dies is started again. SIGHUP restarts the replicas one after the
other, which no client notices.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.abc

HERE = Path(__file__).resolve().parent
START_S, STOP_S, LOOK_S = 60.0, 20.0, 0.1
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
SETTLED_S = 10.0
"""Whatever ran for so long is started again at once when it ends."""
NOTICED_S = 1.0
"""For the balancer to see that a replica is back."""

NEEDS = """\
It needs HAProxy, a Redis and a PostgreSQL, such as those of Debian:

  apt-get install haproxy redis-server postgresql
  su postgres -c "createuser --pwprompt jackfield && createdb --owner jackfield jackfield"

where they are, in the environment or in the file .env beside this program:

  REDIS_URL=redis://localhost:6379/0
  DATABASE_URL=postgresql://jackfield:PASSWORD@localhost/jackfield

and the parts of Jackfield for them: pip install 'jackfield[redis,postgresql]'.
docs/cluster.md says what the cluster can do, and what it cannot.
"""


def say(text: str, name: str = "cluster") -> None:
    """Print a line, and who says it."""
    print(f"{name:8}| {text}", flush=True)


@dataclass
class Part:
    """A process of the cluster, which listens on `port`. `end_by` is the signal that ends it at once."""

    name: str
    port: int
    command: Sequence[str]
    end_by: signal.Signals = signal.SIGINT
    environment: dict[str, str] = field(default_factory=dict)
    process: anyio.abc.Process | None = None
    """The one that runs; None while none does."""
    ready: anyio.Event = field(default_factory=anyio.Event)
    """Set once it has answered for the first time."""

    async def start(self) -> None:
        """Start the process."""
        self.process = await anyio.open_process(
            self.command,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            env={**os.environ, **self.environment},
            start_new_session=True,  # Ctrl-C is for this program, which ends the others
        )
        say(f"{self.name} starts: port {self.port}, process {self.process.pid}")

    def tell(self, number: signal.Signals) -> None:
        """Send the process a signal, if there is one."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)

    async def relay(self) -> int:
        """Print what the process says, until it ends; gives its exit code."""
        assert self.process is not None
        assert self.process.stdout is not None
        rest = b""
        async for chunk in self.process.stdout:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in filter(None, lines):
                say(line.decode(errors="replace"), self.name)
        return await self.process.wait()

    async def end(self) -> None:
        """End the process, and wait until it has gone."""
        with anyio.CancelScope(shield=True):
            self.tell(self.end_by)
            with anyio.move_on_after(STOP_S):
                await self.relay()
            self.tell(signal.SIGKILL)
        self.process = None

    async def answers(self) -> bool:
        """Whether it says that it is well."""
        with suppress(OSError, anyio.EndOfStream, TimeoutError), anyio.fail_after(2):
            async with await anyio.connect_tcp("127.0.0.1", self.port) as stream:
                await stream.send(b"GET /health HTTP/1.1\r\nHost: cluster\r\nConnection: close\r\n\r\n")
                return b" 200 " in (await stream.receive()).partition(b"\r\n")[0]
        return False


class Cluster:
    """All processes: the replicas, which are started first, and the balancer."""

    def __init__(self, balancer: Part, replicas: Sequence[Part]) -> None:
        self._balancer = balancer
        self._replicas = replicas
        self._parts = (*replicas, balancer)
        self._running = anyio.CancelScope()
        self._complete = False
        self._rolling = False
        self._code = 0

    async def run(self) -> int:
        """Keep everything running until told to stop; gives the exit code."""
        async with anyio.create_task_group() as helpers:
            await helpers.start(self._obey, helpers)
            with self._running:
                async with anyio.create_task_group() as tasks:
                    first, *others = self._replicas  # the first one alone: it brings the tables up to date
                    for stage in ([first], others, [self._balancer]):
                        for part in stage:
                            tasks.start_soon(self._keep, part)
                        for part in stage:
                            await part.ready.wait()
                    self._complete = True
                    say(f"ready: http://127.0.0.1:{self._balancer.port}")
                    say(f"Ctrl-C stops everything, kill -HUP {os.getpid()} restarts the replicas by turns")
            helpers.cancel_scope.cancel()
        return self._code

    async def _obey(self, helpers: anyio.abc.TaskGroup, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            task_status.started()
            async for number in signals:
                if number == signal.SIGHUP:
                    helpers.start_soon(self._roll)
                elif self._running.cancel_called:
                    for part in self._parts:
                        part.tell(signal.SIGKILL)
                else:
                    say("stops")
                    self._running.cancel()

    async def _keep(self, part: Part) -> None:
        """Run a process, and run it again whenever it has ended."""
        pause_s = 0.0
        while True:
            began_s = anyio.current_time()
            code = await run_once(part)
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
            if not self._complete:
                say(f"{part.name} {how} before everything was ready. See --help for what is needed.")
                self._code = 2
                self._running.cancel()
                return
            settled = code == 0 or anyio.current_time() - began_s > SETTLED_S
            pause_s = 0.0 if settled else min(max(FIRST_PAUSE_S, 2 * pause_s), LONGEST_PAUSE_S)
            say(f"{part.name} {how}; it is started again after {pause_s:g} s")
            await anyio.sleep(pause_s)

    async def _roll(self) -> None:
        """Restart the replicas one after the other, each when the one before serves again."""
        if self._rolling or not self._complete:
            return
        self._rolling = True
        for part in self._replicas:
            former = part.process
            part.tell(signal.SIGTERM)
            with anyio.move_on_after(START_S) as waiting:
                await until_answers(part, former)
            if waiting.cancelled_caught:
                say(f"{part.name} did not come back within {START_S:g} s; the others are left as they are")
                break
            await anyio.sleep(NOTICED_S)
        else:
            say("all replicas have been restarted")
        self._rolling = False


async def until_answers(part: Part, former: anyio.abc.Process | None = None) -> None:
    """Wait until a part is well, in another process than the former one."""
    while True:
        if part.process not in {former, None} and await part.answers():
            return
        await anyio.sleep(LOOK_S)


async def run_once(part: Part) -> int:
    """Run a process until it ends; gives its exit code."""

    async def watch() -> None:
        await until_answers(part)
        say(f"{part.name} is ready")
        part.ready.set()

    await part.start()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            code = await part.relay()
            tasks.cancel_scope.cancel()
    except BaseException:
        await part.end()
        raise
    part.process = None
    return code


async def run(arguments: argparse.Namespace, haproxy: str) -> int:
    """Put the processes together and run them; gives the exit code."""
    names, ports = ("one", "two", "three"), arguments.replica_ports
    serve = [sys.executable, "-m", "jackfield", "serve", str(arguments.config), "--port"]
    replicas = [Part(name, port, [*serve, str(port)]) for name, port in zip(names, ports, strict=True)]
    seen = {f"REPLICA_{name.upper()}": str(port) for name, port in zip(names, ports, strict=True)}
    command = [haproxy, "-db", "-f", str(HERE / "haproxy.cfg")]
    environment = {"PORT": str(arguments.port), **seen}
    balancer = Part("balancer", arguments.port, command, signal.SIGTERM, environment)
    return await Cluster(balancer, replicas).run()


def main() -> int:
    """Run the cluster; gives the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=NEEDS, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=8000, help="port of the balancer (8000)")
    parser.add_argument(
        "--replica-ports",
        type=int,
        nargs=3,
        default=(8001, 8002, 8003),
        metavar="PORT",
        help="ports of the replicas (8001 8002 8003)",
    )
    parser.add_argument(
        "--config", type=Path, default=HERE / "cluster.toml", help="what a replica is made of (cluster.toml)"
    )
    arguments = parser.parse_args()
    haproxy = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
    if haproxy is None:
        print(f"HAProxy is not installed.\n\n{NEEDS}", file=sys.stderr)
        return 2
    return anyio.run(run, arguments, haproxy)


if __name__ == "__main__":
    sys.exit(main())
