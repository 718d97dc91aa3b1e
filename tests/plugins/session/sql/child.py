"""A process beside the test's: opens a store of its own and does one thing with it.

    python -m tests.plugins.session.sql.child append KEY NAME TIMES
    python -m tests.plugins.session.sql.child publish CHANNEL TIMES
    python -m tests.plugins.session.sql.child open

The address is in the environment variable STORE_URL. It says "ready" once the store is open, and begins when
a line comes in.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import anyio
from anyio import to_thread

from jackfield.testing.session import LONG_S
from jackfield.testing.session_windows import pair
from jackfield_session_sql.store import SqlStore
from tests.plugins.session.sql.conftest import make_store

ROOT: Final = Path(__file__).parents[4]


def spawn(url: str, *arguments: object) -> subprocess.Popen[str]:
    """Start one; its caller writes a line, and waits for it to end."""
    command = [sys.executable, "-m", "tests.plugins.session.sql.child", *map(str, arguments)]
    environment = {**os.environ, "STORE_URL": url, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )


def begin(child: subprocess.Popen[str]) -> None:
    """Wait until its store is open, and let it begin."""
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.stdin.write("\n")
    child.stdin.close()


def end(child: subprocess.Popen[str]) -> None:
    """Wait until it has done everything."""
    assert child.stdout is not None
    with child.stdout:
        assert child.wait() == 0


async def append(store: SqlStore, key: str, name: str, times: int) -> None:
    """Append so many pairs to one conversation, all at once."""

    async def once(number: int) -> None:
        await store.append(key, pair(f"{name}-{number}"), max_messages=1000, ttl_s=LONG_S)

    async with anyio.create_task_group() as tasks:
        for number in range(times):
            tasks.start_soon(once, number)


async def publish(store: SqlStore, channel: str, times: int) -> None:
    """Publish so many signals, one after another."""
    for number in range(times):
        await store.publish(channel, {"number": number})


async def main(arguments: Sequence[str]) -> None:
    """Open the store, and do what is asked for."""
    async with make_store(os.environ["STORE_URL"]) as store:
        print("ready", flush=True)
        await to_thread.run_sync(sys.stdin.readline)
        match arguments:
            case ["append", key, name, times]:
                await append(store, key, name, int(times))
            case ["publish", channel, times]:
                await publish(store, channel, int(times))
            case ["open"]:
                pass
            case _:
                raise SystemExit(__doc__)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1:])
