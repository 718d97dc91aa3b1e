"""Text through the `echo` model: turns a second and time to the first token, beside the floor.

Both servers run at once, each a process of its own, and are asked in turn, so that a change in the
machine's speed meets both. The client is a few lines over a raw socket: a WebSocket library would cost
more than what is measured.

    python -m bench.text_path [--seconds 3] [--rounds 5] [--clients 1 32 128] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import uvloop

HERE: Final = Path(__file__).parent
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


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return once the server listens."""
    for _ in range(200):
        if process.poll() is not None:
            raise SystemExit(f"a server ended with exit code {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit("a server does not listen")


@contextmanager
def servers() -> Iterator[dict[str, int]]:
    """Start both servers; gives their ports."""
    ports = {"floor": free_port(), "jackfield": free_port()}
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "bench.toml")
        config.write_text(CONFIG)
        paths = os.pathsep.join([str(HERE / "doors"), os.environ.get("PYTHONPATH", "")])
        jackfield_port = str(ports["jackfield"])
        commands = {
            "floor": [sys.executable, str(HERE / "floor.py"), str(ports["floor"]), "auto"],
            "jackfield": [sys.executable, "-m", "jackfield", "serve", str(config), "--port", jackfield_port],
        }
        processes = {
            name: subprocess.Popen(
                command, env=os.environ | {"PYTHONPATH": paths}, cwd=folder, stdout=subprocess.DEVNULL
            )
            for name, command in commands.items()
        }
        try:
            for name, process in processes.items():
                wait_for(ports[name], process)
            yield ports
        finally:
            for process in processes.values():
                process.terminate()
                process.wait(20)


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


async def measure(port: int, clients: int, seconds: float) -> tuple[float, float]:
    """Turns a second and the median of the time to the first token, in milliseconds."""
    turns: list[float] = []
    first: list[float] = []
    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(clients):
            tasks.create_task(client(port, began + seconds, turns, first))
    return len(turns) / (time.perf_counter() - began), statistics.median(first) * 1000


async def compare(ports: dict[str, int], options: argparse.Namespace) -> list[dict[str, object]]:
    """Ask both servers in turn, round after round; medians of the rounds."""
    rows: list[dict[str, object]] = []
    for clients in options.clients:
        figures: dict[str, list[tuple[float, float]]] = {name: [] for name in ports}
        for port in ports.values():
            await measure(port, clients, 0.5)
        for _ in range(options.rounds):
            for name, port in ports.items():
                figures[name].append(await measure(port, clients, options.seconds))
        pairs = zip(figures["jackfield"], figures["floor"], strict=True)
        row: dict[str, object] = {"clients": clients}
        for name, values in figures.items():
            row[f"{name} turns/s"] = round(statistics.median(rate for rate, _ in values), 1)
            row[f"{name} first token ms"] = round(statistics.median(ms for _, ms in values), 2)
        row["share of the floor"] = round(statistics.median(ours[0] / floor[0] for ours, floor in pairs), 3)
        rows.append(row)
        print(row, flush=True)
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 32, 128])
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args()
    with servers() as ports:
        rows = uvloop.run(compare(ports, options))
    if options.json:
        machine = {"python": platform.python_version(), "cpus": os.cpu_count(), "machine": platform.machine()}
        options.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
