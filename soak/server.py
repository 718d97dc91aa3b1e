"""The server that is tried: a process of its own, with parts that need no model and take no time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from soak.memory import Sample

PREFIX: Final = "You said: "
_HERE: Final = Path(__file__).parent
_MIB: Final = 1 << 20
_START_S: Final = 45.0
_STOP_S: Final = 20.0
COMMON: Final = f"""
[server]
log_level = "WARNING"
[llm]
use = "echo"
options.prefix = "{PREFIX}"
[session]
use = "memory"
ttl_seconds = 60
[[transport]]
use = "soak_census"
"""
"""What every configuration has."""
SPEECH: Final = """
[stt]
use = "scripted"
options.transcripts = ["one two three", "what is the weather like, and will it rain? I wonder.", "go on"]
[tts]
use = "tone"
[vad]
use = "silero"
"""
"""The parts that calls need."""
FAR_LIMITS: Final = """
[limits]
user_per_minute = 1000000
session_per_minute = 1000000
address_per_minute = 1000000
"""
"""Everything is counted, and nobody comes near."""
_CONFIG: Final = f"""
{COMMON}
{SPEECH}
[stt.named.partials]
use = "scripted"
options.transcripts = ["tell me a story of four words", "stop"]
options.partials = true
[tts.named.slow]
use = "tone"
options.delay_s = 0.02
options.rate_hz = 22050
{FAR_LIMITS}
[[transport]]
use = "voice_socket"
"""


@dataclass(frozen=True, slots=True)
class Holding:
    """What the server holds at one moment."""

    memory_mib: float
    """Resident."""
    descriptors: int
    sockets: int
    threads: Mapping[str, int]
    native_threads: int
    """Those of the operating system, which Python need not know of."""
    tasks: Mapping[str, int]
    objects: Mapping[str, int]
    """Of the classes that a call is made of; only those that were looked at."""
    blocks: int
    """Of Python's own allocator."""

    def counts(self) -> Mapping[str, int]:
        """Everything that has a number, by name."""
        named = {"task": self.tasks, "thread": self.threads, "object": self.objects}
        counted = {f"{kind} {name}": n for kind, names in named.items() for name, n in names.items()}
        plain = {"descriptors": self.descriptors, "sockets": self.sockets, "threads": self.native_threads}
        return plain | counted

    @classmethod
    def of(cls, process: psutil.Process, told: Census) -> Holding:
        """What the operating system says that a server holds, and what it tells of itself."""
        return cls(
            memory_mib=process.memory_info().rss / _MIB,
            descriptors=process.num_fds(),
            sockets=len(process.net_connections("all")),
            native_threads=process.num_threads(),
            threads=told.threads,
            tasks=told.tasks,
            objects=told.objects,
            blocks=told.blocks,
        )

    def sample(self, at_s: float, task: str) -> Sample:
        """What of it is kept of one moment of a trial; a call or a socket is counted by its task."""
        return Sample(
            round(at_s, 1),
            self.memory_mib,
            self.descriptors,
            self.native_threads,
            sum(self.tasks.values()),
            self.blocks,
            self.tasks.get(task, 0),
        )

    def beyond(self, idle: Holding) -> dict[str, int]:
        """What is held now and was not held then."""
        before = idle.counts()
        now = self.counts().items()
        return {name: count - before.get(name, 0) for name, count in now if count > before.get(name, 0)}


@dataclass(frozen=True, slots=True)
class Census:
    """What the server tells of itself."""

    tasks: Mapping[str, int]
    threads: Mapping[str, int]
    objects: Mapping[str, int]
    blocks: int


class SoakServer:
    """The server while it runs."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.port = _port(process, log)
        self.stopped_with: int | None = None
        """Its exit code, once it was stopped."""
        self._process = process
        self._psutil = psutil.Process(process.pid)
        self._log = log
        self._greeted_bytes = log.stat().st_size

    def cpu_s(self) -> float:
        """Seconds of processor time that it has used."""
        times = self._psutil.cpu_times()
        return float(times.user + times.system)

    def holding(self, *, objects: bool = True) -> Holding:
        """Count what it holds; with `objects` it first collects its garbage, which takes a moment."""
        address = f"http://127.0.0.1:{self.port}/census?objects={objects}"
        with urllib.request.urlopen(address, timeout=30) as answer:
            told = Census(**json.load(answer))
        time.sleep(0.1)  # the connection of that is closed on both sides
        return Holding.of(self._psutil, told)

    def figures(self) -> dict[str, float]:
        """Everything on `/metrics`, by name and labels as they are written there."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def log(self) -> str:
        """What it has written since it listened: warnings and worse."""
        return self._log.read_bytes()[self._greeted_bytes :].decode(errors="replace")

    def stop(self) -> None:
        """Ask it to stop, and wait."""
        self._process.terminate()
        self.stopped_with = self._process.wait(_STOP_S)


@contextmanager
def serve(config: str = _CONFIG) -> Iterator[SoakServer]:
    """Start it with a configuration file; it is killed at the end unless it was stopped."""
    with tempfile.TemporaryDirectory(prefix="jackfield-soak-") as name:
        folder = Path(name)
        (folder / "soak.toml").write_text(config)
        log = folder / "log"
        command = [sys.executable, "-m", "jackfield", "serve", "soak.toml", "--port", "0"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=_environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for whoever started the trial
            )
        try:
            yield SoakServer(process, log)
        finally:
            process.kill()
            process.wait()


def _environment() -> Mapping[str, str]:
    paths = [str(_HERE / "doors"), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONUNBUFFERED": "1"}


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    """Wait until it listens."""
    until = time.monotonic() + _START_S
    while time.monotonic() < until and process.poll() is None:
        if found := re.search(r"http://127\.0\.0\.1:(\d+)\b.*\n\n", log.read_text()):
            return int(found[1])
        time.sleep(0.05)
    raise SystemExit(f"the server did not start:\n{log.read_text()}")
