"""Spoken answers as files: stored under unguessable names, served, and cleaned up by age and size."""

from __future__ import annotations

import logging
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import anyio
from anyio import CapacityLimiter, to_thread

from jackfield.audio.encode import ClipFormat, can_encode, encode
from jackfield.contracts.panel import StoredClip
from jackfield.errors import ConfigError, Problem

_NAME: Final = re.compile(r"response_[A-Za-z0-9_-]{22,64}\.(mp3|ogg|wav|webm)")
_UNFINISHED: Final = re.compile(rf"\.{_NAME.pattern}\.part")
_MEDIA_TYPES: Final = {"mp3": "audio/mpeg", "ogg": "audio/ogg", "wav": "audio/wav", "webm": "audio/webm"}
_RANDOM_BYTES: Final = 16
_UNFINISHED_TTL_S: Final = 600.0
"""A file still unfinished after this belongs to a process that died."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    size_bytes: int
    written_at: float
    """Seconds since the epoch."""
    finished: bool


class ClipStore:
    """Implements `jackfield.contracts.panel.Clips` on a directory. An async context manager.

    Several servers may share the directory; what an earlier run left is served and cleaned up as well.
    `ttl_s` is counted from the writing. `public_base_url` (a CDN that serves the directory) wins over
    `public_url` (this server as clients see it); without either, addresses are paths.
    """

    def __init__(
        self,
        directory: Path,
        *,
        container: ClipFormat,
        ttl_s: float,
        max_total_bytes: int,
        public_base_url: str | None = None,
        public_url: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._container = container
        self._ttl_s = ttl_s
        self._max_total_bytes = max_total_bytes
        self._public_base_url = public_base_url
        self._public_url = public_url or ""
        self._clock = clock
        self._encoders = CapacityLimiter(max(1, os.cpu_count() or 1))
        self._total_bytes = 0

    @property
    def total_bytes(self) -> int:
        """Size of all stored clips, as of the last save or clean-up."""
        return self._total_bytes

    async def __aenter__(self) -> Self:
        """Open the directory: made when missing, mode 0700, and proved writable.

        :raises ConfigError: naming `audio.directory`.
        """
        if not await to_thread.run_sync(can_encode, self._container):
            logger.warning("No %s encoder is installed; spoken answers are stored as WAV.", self._container)
            self._container = "wav"
        try:
            await to_thread.run_sync(self._open)
        except OSError as error:
            raise ConfigError([self._problem(error)]) from error
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Leave the clips where they are: they outlive the server until they expire."""

    def _open(self) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._directory.stat().st_mode & 0o077:
            strangers = [entry.name for entry in self._directory.iterdir() if not _is_ours(entry.name)]
            if strangers:
                raise PermissionError(
                    f"others may read it, and it holds other files, such as {strangers[0]!r}"
                )
            self._directory.chmod(0o700)
        self._write(self._directory / f".{self._new_name()}.part", b"").unlink()
        self.clean()

    def _problem(self, error: OSError) -> Problem:
        return Problem(
            "audio.directory",
            f"Spoken answers cannot be stored in {str(self._directory)!r}: {error.strerror or error}.",
            "Name a folder that this user may write to and nothing else uses.",
        )

    async def save(self, pcm: bytes, rate_hz: int) -> str:
        """Compress and store; gives the file's name. PCM, signed 16-bit little-endian, mono.

        When cancelled the caller has control at once, and nothing is left of the clip.
        """
        name = self._new_name()
        unfinished = self._directory / f".{name}.part"
        unwanted = threading.Event()

        def make() -> int:
            data = encode(pcm, rate_hz, self._container)
            if self._total_bytes + len(data) > self._max_total_bytes:
                self.clean()
            try:
                self._write(unfinished, data)
            except BaseException:
                unfinished.unlink(missing_ok=True)
                raise
            if unwanted.is_set():
                unfinished.unlink(missing_ok=True)
            return len(data)

        try:
            size_bytes = await to_thread.run_sync(make, abandon_on_cancel=True, limiter=self._encoders)
        except BaseException:
            # The thread looks after it has written, so whichever of the two comes last removes the file.
            unwanted.set()
            unfinished.unlink(missing_ok=True)
            raise
        unfinished.rename(self._directory / name)
        self._total_bytes += size_bytes
        return name

    async def compress(self, pcm: bytes, rate_hz: int) -> tuple[bytes, str]:
        """Give a whole file as stored clips are, and its media type; stores nothing."""
        container = self._container
        call = partial(encode, pcm, rate_hz, container)
        data = await to_thread.run_sync(call, abandon_on_cancel=True, limiter=self._encoders)
        return data, _MEDIA_TYPES[container]

    def _new_name(self) -> str:
        return f"response_{secrets.token_urlsafe(_RANDOM_BYTES)}.{self._container}"

    def _write(self, path: Path, data: bytes) -> Path:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
        now = self._clock()
        os.utime(path, (now, now))
        return path

    async def find(self, name: str) -> StoredClip | None:
        """Give a clip; None for a name that is malformed (the disk is not asked), unknown or expired."""
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        path = self._directory / name
        try:
            status = await to_thread.run_sync(path.lstat)
        except FileNotFoundError:
            return None
        left_s = status.st_mtime + self._ttl_s - self._clock()
        return StoredClip(path, _MEDIA_TYPES[match[1]], int(left_s)) if left_s > 0 else None

    def url(self, name: str, route: str) -> str:
        """Address for clients: `route` is the path of the transport's own audio route, mount included."""
        if self._public_base_url:
            return f"{self._public_base_url.rstrip('/')}/{name}"
        return f"{self._public_url.rstrip('/')}{route}/{name}"

    def clean(self) -> None:
        """Delete what is too old, then the oldest until the rest is small enough. Blocks.

        Touches only files whose names this class makes.
        """
        now = self._clock()
        kept: list[_File] = []
        for file in self._files():
            ttl_s = self._ttl_s if file.finished else _UNFINISHED_TTL_S
            if now - file.written_at >= ttl_s:
                file.path.unlink(missing_ok=True)
            elif file.finished:
                kept.append(file)
        total_bytes = sum(file.size_bytes for file in kept)
        for file in sorted(kept, key=lambda file: file.written_at):
            if total_bytes <= self._max_total_bytes:
                break
            file.path.unlink(missing_ok=True)
            total_bytes -= file.size_bytes
        self._total_bytes = total_bytes

    def _files(self) -> Iterator[_File]:
        with os.scandir(self._directory) as entries:
            for entry in entries:
                if not _is_ours(entry.name) or not entry.is_file(follow_symlinks=False):
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:  # another server cleans up too
                    continue
                finished = not entry.name.startswith(".")
                yield _File(Path(entry.path), status.st_size, status.st_mtime, finished)

    async def run_cleanup(self, interval_s: float) -> None:
        """Clean up every `interval_s` seconds until cancelled."""
        while True:
            await anyio.sleep(interval_s)
            try:
                await to_thread.run_sync(self.clean)
            except OSError:
                logger.exception(
                    "Cleaning up the stored clips failed; it is tried again in %g s.", interval_s
                )


def _is_ours(name: str) -> bool:
    return bool(_NAME.fullmatch(name) or _UNFINISHED.fullmatch(name))
