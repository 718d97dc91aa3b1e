"""Text through the `echo` model: turns, time to the first token and processor time, beside the floor.

Both servers run at once, each a process of its own, and are asked in turn, so that a change in the
machine's speed meets both. The client is a few lines over a raw socket: a WebSocket library would cost
more than what is measured. The servers' processor time (told on Linux only) suffers least from a busy
machine.

Both send a frame for each token. The floor leaves writing them to uvicorn, which writes each by itself;
Jackfield writes those of one pass of the event loop together.

    python -m bench.text_path [--seconds 3] [--rounds 5] [--clients 1 32 128] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import uvloop

from bench.process import HERE, TRANSPORTS, Server, running, serving

TOKENS: Final = 200
END: Final = b"<end>"
CONFIG: Final = """
[server]
log_level = "WARNING"
[llm]
use = "echo"
[session]
use = "memory"
[limits]
enabled = false
[[transport]]
use = "bench_stream"
"""


@dataclass(frozen=True)
class Figures:
    """What a server did."""

    turns_a_second: float
    first_token_ms: float
    """The median."""
    cpu_ms: float
    """Processor time of a turn."""


@contextmanager
def servers() -> Iterator[dict[str, Server]]:
    """Start both servers."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        config = Path(folder, "bench.toml")
        config.write_text(CONFIG)
        commands = {
            "floor": lambda port: [str(HERE / "floor.py"), str(port), "auto"],
            "jackfield": serving(config),
        }
        yield {
            name: stack.enter_context(running(command, folder, TRANSPORTS))
            for name, command in commands.items()
        }


def masked_frame(text: str) -> bytes:
    """A client's text frame (RFC 6455), masked with zeros, which leaves the text as it is."""
    data = text.encode()
    return b"\x81\xfe" + len(data).to_bytes(2, "big") + bytes(4) + data


async def client(port: int, until: float, turns: list[float], first: list[float]) -> None:
    """Ask again and again until the time is over; notes seconds of each turn and of its first token."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"GET /stream HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    frame = masked_frame(" ".join(f"word{number % 10}" for number in range(TOKENS)))
    while (began := time.perf_counter()) < until:
        writer.write(frame)
        tail = await reader.read(65536)
        first.append(time.perf_counter() - began)
        while not tail.endswith(END):
            tail = tail[-len(END) :] + await reader.read(65536)
        turns.append(time.perf_counter() - began)
    writer.close()
    await writer.wait_closed()


async def measure(server: Server, clients: int, seconds: float) -> Figures:
    """Let clients ask one server."""
    turns: list[float] = []
    first: list[float] = []
    began, cpu_s = time.perf_counter(), server.cpu_s()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(clients):
            tasks.create_task(client(server.port, began + seconds, turns, first))
    rate = len(turns) / (time.perf_counter() - began)
    return Figures(rate, median(first) * 1000, (server.cpu_s() - cpu_s) / len(turns) * 1000)


async def compare(found: dict[str, Server], options: argparse.Namespace) -> list[dict[str, object]]:
    """Ask both servers in turn, round after round; medians of the rounds, and of each round's ratios."""
    rows: list[dict[str, object]] = []
    for clients in options.clients:
        rounds: dict[str, list[Figures]] = {name: [] for name in found}
        for server in found.values():
            await measure(server, clients, 0.5)
        for _ in range(options.rounds):
            for name, server in found.items():
                rounds[name].append(await measure(server, clients, options.seconds))
        row: dict[str, object] = {"clients": clients}
        for name, figures in rounds.items():
            row[f"{name} turns/s"] = round(median(each.turns_a_second for each in figures), 1)
            row[f"{name} first token ms"] = round(median(each.first_token_ms for each in figures), 2)
            row[f"{name} cpu ms a turn"] = round(median(each.cpu_ms for each in figures), 2)
        pairs = list(zip(rounds["jackfield"], rounds["floor"], strict=True))
        row["share of the floor"] = round(
            median(ours.turns_a_second / floor.turns_a_second for ours, floor in pairs), 3
        )
        row["first token, times the floor"] = round(
            median(ours.first_token_ms / floor.first_token_ms for ours, floor in pairs), 2
        )
        rows.append(row)
        print(*(f"{name}: {value}" for name, value in row.items()), sep="\n  ", flush=True)
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 32, 128])
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args()
    with servers() as found:
        rows = uvloop.run(compare(found, options))
    if options.json:
        machine = {"python": platform.python_version(), "cpus": os.cpu_count(), "machine": platform.machine()}
        options.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
