"""Fifty people typing at once: how long each waits for an answer of relay-chat, with the `echo` model.

Each user has a connection and a session, and sends the next message as soon as the last one is answered,
which no person does. The aim, on a laptop, is a 95th percentile under 250 ms. Server and client share the
machine.

    python bench/load_relay_chat.py [--users 50] [--messages 40] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

AIM_MS: Final = 250.0
CONFIG: Final = """
[server]
port = 0
log_level = "WARNING"
[llm]
use = "echo"
[session]
use = "memory"
[limits]
enabled = false
[[transport]]
use = "relay_chat"
"""


@contextmanager
def server() -> Iterator[int]:
    """A server in a process of its own; gives its port."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "jackfield.toml"
        file.write_text(CONFIG)
        command = [sys.executable, "-u", "-m", "jackfield", "serve", str(file)]
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                        yield int(found[1])
                        break
            finally:
                process.terminate()


async def user(port: int, number: int, messages: int, waits_ms: list[float]) -> None:
    """Send messages one after the other, and note how long each answer took."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        answers = BufferedByteReceiveStream(stream)
        for count in range(messages):
            text = f"message {count} of user {number}"
            began = time.perf_counter()
            await stream.send(_request(number, text))
            head = (await answers.receive_until(b"\r\n\r\n", 65536)).decode()
            length = re.search(r"(?i)content-length: (\d+)", head)
            assert length is not None
            body = json.loads(await answers.receive_exactly(int(length[1])))
            waits_ms.append((time.perf_counter() - began) * 1000)
            if body != {"message": text, "type": "text"}:
                raise SystemExit(f"a wrong answer: {body}")


def _request(number: int, text: str) -> bytes:
    form = {
        "message": text,
        "type": "text",
        "sessionId": f"s{number}",
        "userId": f"u{number}",
        "username": "n",
    }
    body = urlencode(form).encode()
    head = f"POST /chat HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Content-Type: application/x-www-form-urlencoded\r\n\r\n" + body


async def load(port: int, users: int, messages: int) -> list[float]:
    """Let all users type at once; gives every wait in milliseconds."""
    waits_ms: list[float] = []
    async with anyio.create_task_group() as tasks:
        for number in range(users):
            tasks.start_soon(user, port, number, messages, waits_ms)
    return waits_ms


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--messages", type=int, default=40, help="messages of each user")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    with server() as port:
        anyio.run(load, port, options.users, 3)
        began = time.perf_counter()
        waits_ms = anyio.run(load, port, options.users, options.messages)
        seconds = time.perf_counter() - began
    cuts = statistics.quantiles(waits_ms, n=100)
    figures = {
        "users": options.users,
        "messages_a_second": round(len(waits_ms) / seconds, 1),
        "p50_ms": round(cuts[49], 1),
        "p95_ms": round(cuts[94], 1),
        "p99_ms": round(cuts[98], 1),
        "aim_p95_ms": AIM_MS,
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
    }
    print("\n".join(f"{name:18} {value}" for name, value in figures.items()))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
