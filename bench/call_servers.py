"""The two servers that hold calls, each a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import psutil

from bench.call_floor import HEARD, SHORT_MS
from bench.call_pauses import MIB
from bench.process import HERE, TRANSPORTS, Server, environment, running, serving
from jackfield.models import locate

FLOOR: Final = "floor"
JACKFIELD: Final = "jackfield"
_COMMON: Final = f"""
[llm]
use = "echo"
[stt]
use = "scripted"
options.transcripts = ["{HEARD}"]
[session]
use = "memory"
[limits]
enabled = false
[call]
silence_ms = 200
max_calls = 1000
[[transport]]
use = "voice_socket"
[[transport]]
use = "bench_pauses"
"""
_SILERO: Final = """
[vad]
use = "silero"
"""
_VOICE_SOCKET: Final = f"""
{_COMMON}
[server]
log_level = "WARNING"
[tts]
use = "tone"
[tts.named.short]
use = "tone"
options.character_ms = {SHORT_MS}
"""
_DOORS: Final = f"""
{_COMMON}
{_SILERO}
[server]
log_level = "WARNING"
public_url = "https://bench.example.org"
[tts]
use = "tone"
options.character_ms = {SHORT_MS}
[[transport]]
use = "speech_assistant"
mount = "/assistant"
options.sessions_per_user = 100
options.telephone.verify_signatures = false
"""
_STARTS: Final = 5
_OVERLOADED_S: Final = 60.0
"""A server that has more to do than it can is asked all the same."""


@dataclass(frozen=True)
class CallServer(Server):
    """A server that holds calls."""

    def pauses(self) -> dict[str, float]:
        """What the garbage collector did since this was asked last; see `Pauses`."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/pauses", timeout=_OVERLOADED_S) as answer:
            told: dict[str, float] = json.load(answer)
            return told

    def memory_mib(self) -> float:
        """Resident memory."""
        resident: int = psutil.Process(self.process_id).memory_info().rss
        return resident / MIB


@contextmanager
def serve(name: str, *, silero: bool, every_s: float = 0.05) -> Iterator[CallServer]:
    """Start the floor or Jackfield; with `silero` it can tell when somebody speaks.

    Looks every so many seconds whether it listens.
    """
    if name == FLOOR:
        model = [str(locate("silero-vad"))] if silero else []
        with _started(lambda port: ["-m", "bench.call_floor", str(port), *model], every_s) as server:
            yield server
    else:
        with _serve_jackfield(_VOICE_SOCKET + (_SILERO if silero else ""), every_s) as server:
            yield server


@contextmanager
def serve_doors() -> Iterator[CallServer]:
    """Start Jackfield with every door that takes calls, all on the same parts, with Silero."""
    with _serve_jackfield(_DOORS, 0.05) as server:
        yield server


@contextmanager
def _serve_jackfield(config: str, every_s: float) -> Iterator[CallServer]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "bench.toml")
        file.write_text(config)
        with _started(serving(file), every_s) as server:
            yield server


@contextmanager
def _started(arguments: Callable[[int], Sequence[str]], every_s: float) -> Iterator[CallServer]:
    with (
        tempfile.TemporaryDirectory() as folder,
        running(arguments, folder, HERE.parent, TRANSPORTS, every_s=every_s) as server,
    ):
        yield CallServer(server.port, server.process_id)


def import_s(name: str) -> float:
    """The time that importing what serves takes, over that of an empty program."""
    module = "jackfield.server.serve" if name == JACKFIELD else "starlette.applications, uvicorn"
    return _run_s(f"import {module}") - _run_s("pass")


def _run_s(program: str) -> float:
    times_s = []
    for _ in range(_STARTS):
        began_s = time.perf_counter()
        subprocess.run([sys.executable, "-c", program], env=environment(HERE.parent, TRANSPORTS), check=True)
        times_s.append(time.perf_counter() - began_s)
    return median(times_s)


@dataclass(frozen=True)
class Started:
    """What starting a server took, and its memory a second later, without calls."""

    listens_s: float
    cpu_s: float
    memory_mib: float


def start(name: str) -> Started:
    """Start a server several times; medians."""
    starts = [_start(name) for _ in range(_STARTS)]
    return Started(
        median(each.listens_s for each in starts),
        median(each.cpu_s for each in starts),
        median(each.memory_mib for each in starts),
    )


def _start(name: str) -> Started:
    began_s = time.perf_counter()
    with serve(name, silero=False, every_s=0.005) as server:
        listens_s, cpu_s = time.perf_counter() - began_s, server.cpu_s()
        time.sleep(1)
        return Started(listens_s, cpu_s, server.memory_mib())
