"""Files of spoken answers that were fetched from the backend, deleted by age and by total size."""

from __future__ import annotations

import logging
import os
import re
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO, Final

import anyio
from anyio import to_thread

from jackfield.audio.sniff import Container, sniff
from jackfield.contracts.panel import StoredClip
from jackfield.errors import ConfigError, Problem
from jackfield_transport_smart_proxy.options import ClipOptions

NAME: Final = re.compile(r"[A-Za-z0-9_-]{22,64}\.(mp3|ogg|wav|webm)")

_UNFINISHED: Final = re.compile(rf"\.{NAME.pattern}\.[0-9a-f]{{8}}\.part")
_UNFINISHED_TTL_S: Final = 600.0
"""A file still unfinished after this belongs to a process that died."""
_CLEAN_S: Final = 60.0
_HEAD_BYTES: Final = 12
_MEDIA_TYPES: Final[dict[Container, str]] = {
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "wav": "audio/wav",
    "webm": "audio/webm",
    "mp4": "audio/mp4",
    "aac": "audio/aac",
    "flac": "audio/flac",
}


class ClipCache:
    """A folder of sound files. What is no sound is neither kept nor served. Several servers may share it."""

    def __init__(self, options: ClipOptions, section: str, logger: logging.Logger) -> None:
        self._directory = Path(options.directory)
        self._options = options
        self._section = section
        self._logger = logger
        self._total_bytes = 0

    async def open(self) -> None:
        """Make the folder, private, and delete what is too old in it.

        :raises ConfigError: when it cannot be written to.
        """
        try:
            await to_thread.run_sync(self._open)
        except OSError as error:
            where = f"{self._section}.options.clips.directory"
            message = f"Nothing can be kept in {str(self._directory)!r}: {error.strerror or error}."
            fix = "Name a folder that this user may write to and nothing else uses."
            raise ConfigError([Problem(where, message, fix)]) from error

    def _open(self) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        trial = self._directory / f".{secrets.token_urlsafe(16)}.mp3.{secrets.token_hex(4)}.part"
        _create(trial).close()
        trial.unlink()
        self._clean()

    async def find(self, name: str) -> StoredClip | None:
        """Give a file; None when there is none of that name, which must be of the form `NAME`."""
        return await to_thread.run_sync(self._find, self._directory / name)

    def _find(self, path: Path) -> StoredClip | None:
        try:
            with path.open("rb") as file:
                written_at = os.fstat(file.fileno()).st_mtime
                container = sniff(file.read(_HEAD_BYTES))
        except FileNotFoundError:
            return None
        left_s = written_at + self._options.ttl_s - time.time()
        if left_s <= 0 or container is None:
            return None
        return StoredClip(path, _MEDIA_TYPES[container], int(left_s))

    async def keep(self, name: str, pieces: AsyncIterator[bytes]) -> bool:
        """Write a file as its pieces come; False, and nothing is kept, when it is too large or no sound."""
        unfinished = self._directory / f".{name}.{secrets.token_hex(4)}.part"
        file = await to_thread.run_sync(_create, unfinished)
        try:
            with file:
                size_bytes = await self._write(file, pieces)
            if size_bytes is None:
                return False
            self._total_bytes += size_bytes
            if self._total_bytes > self._options.max_total_bytes:
                await to_thread.run_sync(self._clean)
            unfinished.rename(self._directory / name)
            return True
        finally:
            unfinished.unlink(missing_ok=True)

    async def _write(self, file: BinaryIO, pieces: AsyncIterator[bytes]) -> int | None:
        """Give the size; None for what shall not be kept."""
        size_bytes = 0
        head = b""
        async for piece in pieces:
            head += piece[: _HEAD_BYTES - len(head)]
            size_bytes += len(piece)
            if size_bytes > self._options.max_bytes:
                self._logger.warning("a spoken answer is larger than %d bytes", self._options.max_bytes)
                return None
            await to_thread.run_sync(file.write, piece)
        return size_bytes if sniff(head) is not None else None

    async def run(self) -> None:
        """Clean up now and then, until cancelled."""
        while True:
            await anyio.sleep(min(_CLEAN_S, self._options.ttl_s))
            try:
                await to_thread.run_sync(self._clean)
            except OSError:
                self._logger.exception("cleaning up the kept spoken answers failed; it is tried again")

    def _clean(self) -> None:
        """Delete what is too old, then the oldest until the rest is small enough. Blocks."""
        now = time.time()
        kept: list[tuple[float, int, Path]] = []
        for path in list(self._directory.iterdir()):
            finished = NAME.fullmatch(path.name) is not None
            if not finished and not _UNFINISHED.fullmatch(path.name):
                continue
            try:
                status = path.lstat()
            except FileNotFoundError:  # another server cleans up too
                continue
            if now - status.st_mtime >= (self._options.ttl_s if finished else _UNFINISHED_TTL_S):
                path.unlink(missing_ok=True)
            elif finished:
                kept.append((status.st_mtime, status.st_size, path))
        self._total_bytes = sum(size_bytes for _, size_bytes, _ in kept)
        for _, size_bytes, path in sorted(kept):
            if self._total_bytes <= self._options.max_total_bytes:
                break
            path.unlink(missing_ok=True)
            self._total_bytes -= size_bytes


def _create(path: Path) -> BinaryIO:
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
