"""Microphone and loudspeaker, by way of whichever program of the system records and plays.

Sound is PCM, signed 16-bit little-endian, mono.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import IO, Final, Literal

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, Process

from jackfield.audio.pcm import WIDTH_BYTES
from jackfield.errors import ConfigError, Problem

Device = Literal["loudspeaker", "microphone"]

_SOX: Final = "-t raw -e signed -b 16 -L -c 1 -r {rate_hz} -"
_PULSE: Final = "--raw --format=s16le --channels=1 --rate={rate_hz}"
_PIPEWIRE: Final = "--raw --format=s16 --channels=1 --rate={rate_hz} -"
_FFMPEG: Final = "-f s16le -ac 1 -ar {rate_hz} -"


@dataclass(frozen=True, slots=True)
class Program:
    """A program that reads sound from its standard input, or writes it to its standard output."""

    name: str
    arguments: str
    platform: str = ""
    """What `sys.platform` begins with where these arguments hold; empty is everywhere."""

    def command(self, rate_hz: int) -> list[str]:
        """Give the words of its command line."""
        return [self.name, *self.arguments.format(rate_hz=rate_hz).split()]


_PROGRAMS: Final[dict[Device, Sequence[Program]]] = {
    "loudspeaker": (
        Program("aplay", "-q -t raw -f S16_LE -c 1 -r {rate_hz}"),
        Program("paplay", _PULSE),
        Program("sox", f"-q {_SOX} -d"),
        Program("ffplay", "-nodisp -autoexit -loglevel error -f s16le -sample_rate {rate_hz} -i -"),
        Program("pw-play", _PIPEWIRE),  # last: only the newest play from a pipe
    ),
    "microphone": (
        Program("arecord", "-q -t raw -f S16_LE -c 1 -r {rate_hz}"),
        Program("parec", f"{_PULSE} --latency-msec=50"),
        Program("sox", f"-q -d {_SOX}"),
        Program("ffmpeg", f"-nostdin -loglevel error -f alsa -i default {_FFMPEG}", "linux"),
        Program("ffmpeg", f"-nostdin -loglevel error -f avfoundation -i :default {_FFMPEG}", "darwin"),
        Program("pw-record", _PIPEWIRE),
    ),
}
_DOES: Final[dict[Device, str]] = {"loudspeaker": "plays", "microphone": "records"}
_INSTEAD: Final[dict[Device, str]] = {
    "loudspeaker": "write the sound to a file with --output FILE",
    "microphone": "name a recording: jackfield listen FILE",
}
_PACKAGES: Final = {"linux": "alsa-utils", "darwin": "SoX (brew install sox)"}


def found(device: Device) -> Program:
    """Give the first program that is installed.

    :raises ConfigError: when none is; it says which to install and what works without.
    """
    here = [program for program in _PROGRAMS[device] if sys.platform.startswith(program.platform)]
    for program in here:
        if shutil.which(program.name):
            return program
    names = ", ".join(program.name for program in here)
    message = f"No program that {_DOES[device]} sound is installed; looked for {names}."
    fix = f"Install {_PACKAGES.get(sys.platform, 'SoX')}, or {_INSTEAD[device]}."
    raise ConfigError([Problem(device, message, fix)])


class Player:
    """A loudspeaker that plays what is written to it."""

    def __init__(self, program: Program, process: Process, log: IO[bytes]) -> None:
        assert process.stdin is not None  # it was asked for
        self._program = program
        self._process = process
        self._log = log
        self._pipe: ByteSendStream = process.stdin

    async def write(self, pcm: bytes) -> None:
        """Play more, after all before; waits while much is still to be heard.

        :raises ConfigError: when the program has ended.
        """
        try:
            await self._pipe.send(pcm)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            await self._process.wait()
            raise _ended("loudspeaker", self._program, self._process, self._log) from None

    async def finish(self) -> None:
        """Wait until everything was heard.

        :raises ConfigError: when the program failed.
        """
        with suppress(OSError, anyio.BrokenResourceError):
            await self._pipe.aclose()
        if await self._process.wait():
            raise _ended("loudspeaker", self._program, self._process, self._log)


@asynccontextmanager
async def player(rate_hz: int) -> AsyncGenerator[Player, None]:
    """Start a loudspeaker; whoever leaves before `finish` silences it at once.

    :raises ConfigError: when there is none.
    """
    program = found("loudspeaker")
    with tempfile.TemporaryFile() as log:
        command = program.command(rate_hz)
        async with _running("loudspeaker", command, subprocess.PIPE, subprocess.DEVNULL, log) as process:
            yield Player(program, process, log)


class Recorder:
    """A microphone."""

    def __init__(self, program: Program, process: Process, log: IO[bytes]) -> None:
        assert process.stdout is not None  # it was asked for
        self._program = program
        self._process = process
        self._log = log
        self._pipe: ByteReceiveStream = process.stdout

    async def sound(self) -> AsyncGenerator[bytes, None]:
        """Yield sound as it comes, in whole samples, until the program ends.

        :raises ConfigError: when the program failed.
        """
        half = b""
        while True:
            try:
                data = half + await self._pipe.receive()
            except anyio.EndOfStream:
                break
            size_bytes = len(data) - len(data) % WIDTH_BYTES
            half = data[size_bytes:]
            if size_bytes:
                yield data[:size_bytes]
        if await self._process.wait():
            raise _ended("microphone", self._program, self._process, self._log)


@asynccontextmanager
async def recorder(rate_hz: int) -> AsyncGenerator[Recorder, None]:
    """Start to record from the microphone until left.

    :raises ConfigError: when there is no program that records.
    """
    program = found("microphone")
    with tempfile.TemporaryFile() as log:
        command = program.command(rate_hz)
        async with _running("microphone", command, subprocess.DEVNULL, subprocess.PIPE, log) as process:
            yield Recorder(program, process, log)


@asynccontextmanager
async def _running(
    device: Device, command: list[str], stdin: int, stdout: int, log: IO[bytes]
) -> AsyncGenerator[Process, None]:
    """Start a program; it is killed if it has not ended before."""
    try:
        process = await anyio.open_process(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=log,
            start_new_session=True,  # Ctrl-C is meant for the command, which ends the program in its order
        )
    except OSError as error:
        message = f'"{command[0]}" cannot be started: {error.strerror}.'
        raise ConfigError([Problem(device, message, "Mend it, or remove it.")]) from error
    try:
        yield process
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
            with suppress(OSError, anyio.BrokenResourceError):
                await process.aclose()


def _ended(device: Device, program: Program, process: Process, log: IO[bytes]) -> ConfigError:
    """Tell that a program ended by itself, and what it said last."""
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    said = f": {lines[-1].strip().rstrip('.')}" if lines else ""
    message = f'"{program.name}" ended with exit code {process.returncode}{said}.'
    fix = f"See that the {device} works, or {_INSTEAD[device]}."
    return ConfigError([Problem(device, message, fix)])
