"""Ten thousand messages through a proxy: its memory, its sockets and its files afterwards.

    python -m soak.proxy [--messages 10000] [--warm 1000]

The proxy and its backend are servers of ours, each in a process of its own. Every tenth message is a
recording whose spoken answer is fetched. Exits with 1 when the proxy has grown by more than 20 MiB, or has
more files or sockets open than before.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import httpx
import psutil

from jackfield.testing.recordings import record
from tests.contracts.backend import await_backend, proxy_config
from tests.contracts.harness import FORM, TrialServer

MOST_GROWTH_MIB: Final = 20.0
SPARE_FILES: Final = 2
"""Connections that may be open at the one moment and not at the other: a probe, a kept one."""
_MIB: Final = 1024 * 1024
_VOICE_EVERY: Final = 10
_SOUND: Final = record(random.Random(1).randbytes(2 * 48_000), "webm", rate_hz=48_000)
_PLAIN: Final = {"llm": "echo", "stt": "scripted", "tts": "tone", "session": "memory"}


def ask(client: httpx.Client, number: int) -> None:
    """Send one message, and fetch the answer's sound if it has one."""
    if number % _VOICE_EVERY:
        answer = client.post("/chat", data=FORM).raise_for_status()
    else:
        files = {"audio": ("voice.webm", _SOUND, "audio/webm")}
        answer = client.post("/chat", data={**FORM, "type": "voice"}, files=files).raise_for_status()
        client.get(answer.json()["audioUrl"]).raise_for_status()
    if answer.headers["x-jackfield-source"] != "upstream":
        raise RuntimeError(f"message {number} did not reach the backend")


def trial(folder: Path, messages: int, warm: int) -> list[str]:
    """Send the messages; gives what is wrong."""
    plain = {name: {"use": use, "options": None} for name, use in _PLAIN.items()}
    relay = {**plain, "extension": None, "transport": [{"use": "relay_chat"}]}
    with TrialServer(folder / "relay", relay) as backend:
        config = proxy_config(backend.url, backend={"probe_interval_s": 3})
        with TrialServer(folder / "proxy", config) as proxy:
            await_backend(proxy)
            process = psutil.Process(proxy.pid)
            with httpx.Client(base_url=proxy.url, timeout=60) as client:
                for number in range(warm):
                    ask(client, number)
                memory, files = process.memory_info().rss, process.num_fds()
                began_s = time.monotonic()
                for number in range(messages):
                    ask(client, number)
                seconds = time.monotonic() - began_s
                grown_mib = (process.memory_info().rss - memory) / _MIB
                left = process.num_fds() - files
            print(f"{messages} messages in {seconds:.0f} s; memory {grown_mib:+.1f} MiB, files {left:+d}")
            wrong = [f"grown by {grown_mib:.1f} MiB"] if grown_mib > MOST_GROWTH_MIB else []
            wrong += [f"{left} more open files"] if left > SPARE_FILES else []
            return wrong + [f"left behind: {path}" for path in proxy.leftovers()]


def main(arguments: Sequence[str]) -> int:
    """Run the trial; gives the exit code."""
    parser = argparse.ArgumentParser(prog="soak.proxy")
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--warm", type=int, default=1_000)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        wrong = trial(Path(folder), chosen.messages, chosen.warm)
    for line in wrong:
        print(f"soak.proxy: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
