"""Where spoken sound is written to instead of being played: a file, or standard output.

Sound is PCM, signed 16-bit little-endian, mono.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol, get_args

import anyio
import anyio.to_thread

from jackfield.audio.encode import FileFormat, encode
from jackfield.audio.pcm import WIDTH_BYTES
from jackfield.errors import ConfigError, Problem

FORMATS: Final[tuple[FileFormat, ...]] = ("wav", "mp3", "ogg", "webm")
assert set(FORMATS) == {name for part in get_args(FileFormat) for name in get_args(part) or (part,)}

_UNKNOWN_BYTES: Final = 0xFFFFFFFF
"""In place of a length that nobody knows yet."""
_STEP_BYTES: Final = 4096
"""What a pipe that has room takes without waiting."""


class Output(Protocol):
    """Takes sound as it is made."""

    async def write(self, pcm: bytes) -> None:
        """Take more sound, in whole samples."""
        ...

    async def finish(self) -> None:
        """There is no more. Without it nothing may be left."""
        ...


def format_of(path: Path) -> FileFormat:
    """Tell the format that a file is to have by its ending.

    :raises ConfigError: for an ending that stands for none.
    """
    ending = path.suffix.lower().removeprefix(".")
    for name in FORMATS:
        if name == ending:
            return name
    endings = ", ".join(f".{name}" for name in FORMATS)
    message = f'"{path.name}" does not say in which format to write.'
    raise ConfigError([Problem("output", message, f"End the name with one of: {endings}.")])


class SoundFile:
    """A file that is there once it is whole."""

    def __init__(self, path: Path, rate_hz: int) -> None:
        self._path = path
        self._format = format_of(path)
        self._rate_hz = rate_hz
        self._pcm = bytearray()

    async def write(self, pcm: bytes) -> None:
        """Keep the sound."""
        self._pcm += pcm

    async def finish(self) -> None:
        """Write the file in place of one that may be there.

        :raises ConfigError: when it cannot be written.
        """
        await anyio.to_thread.run_sync(self._write)

    def _write(self) -> None:
        data = encode(bytes(self._pcm), self._rate_hz, self._format)
        part = self._path.with_name(f".{self._path.name}.{os.getpid()}.part")
        try:
            try:
                part.write_bytes(data)
                part.replace(self._path)
            finally:
                part.unlink(missing_ok=True)
        except OSError as error:
            message = f"{self._path} cannot be written: {error.strerror}."
            raise ConfigError([Problem("output", message, "Name another file.")]) from error


class WavStream:
    """WAV on a file descriptor while it is made: the header says that its length is not known."""

    def __init__(self, descriptor: int, rate_hz: int) -> None:
        self._descriptor = descriptor
        self._due = _header(rate_hz)

    async def write(self, pcm: bytes) -> None:
        """Hand the sound on.

        :raises BrokenPipeError: when nobody reads any more.
        """
        self._due += pcm
        while self._due:
            with suppress(OSError, NotImplementedError):  # a file, for which there is nothing to wait
                await anyio.wait_writable(self._descriptor)
            written = os.write(self._descriptor, self._due[:_STEP_BYTES])
            self._due = self._due[written:]

    async def finish(self) -> None:
        """All is written already."""


def _header(rate_hz: int) -> bytes:
    """The 44 bytes before the sound."""
    form = struct.pack("<IHHIIHH", 16, 1, 1, rate_hz, rate_hz * WIDTH_BYTES, WIDTH_BYTES, 8 * WIDTH_BYTES)
    unknown = struct.pack("<I", _UNKNOWN_BYTES)
    return b"RIFF" + unknown + b"WAVEfmt " + form + b"data" + unknown
