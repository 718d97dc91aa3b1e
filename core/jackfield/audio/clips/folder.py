"""Clips in a folder of this machine, which only its owner can read."""

from __future__ import annotations

import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from anyio import to_thread

from jackfield.audio.clips.files import ClipLimits, KeptClip, surplus
from jackfield.audio.clips.names import NAME
from jackfield.contracts.panel import StoredClip
from jackfield.errors import ConfigError, Problem, StoreUnavailable

_UNFINISHED: Final = re.compile(rf"\.{NAME.pattern}\.part")
_UNFINISHED_TTL_S: Final = 600.0
"""A file still unfinished after this belongs to a process that died."""


class ClipFolder:
    """Implements `ClipFiles` on a directory: made when missing, mode 0700, and proved writable.

    What an earlier run left is served and cleaned up as well. `clock` gives seconds since the epoch.
    """

    def __init__(
        self,
        directory: Path,
        limits: ClipLimits,
        *,
        section: str = "audio.directory",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self.limits = limits
        self._section = section
        self._clock = clock
        self._total_bytes = 0

    @property
    def total_bytes(self) -> int:
        """Size of all clips, as of the last one stored or cleaned up."""
        return self._total_bytes

    async def __aenter__(self) -> Self:
        """Open the directory.

        :raises ConfigError: naming the setting.
        """
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
        trial = self._directory / f".response_{secrets.token_urlsafe(16)}.wav.part"
        self._write(trial, b"")
        trial.unlink()
        self._clean()

    def _problem(self, error: OSError) -> Problem:
        return Problem(
            self._section,
            f"Spoken answers cannot be stored in {str(self._directory)!r}: {error.strerror or error}.",
            "Name a folder that this user may write to and nothing else uses.",
        )

    async def keep(self, name: str, data: bytes, media_type: str) -> None:
        """Write a file under its name, once it is whole."""
        with self._telling():
            await self._write_whole(name, data)
        self._total_bytes += len(data)

    async def _write_whole(self, name: str, data: bytes) -> None:
        unfinished = self._directory / f".{name}.part"
        unwanted = threading.Event()
        try:
            await to_thread.run_sync(self._try, unfinished, data, unwanted, abandon_on_cancel=True)
        except BaseException:
            # The thread looks after it has written, so whichever of the two comes last removes the file.
            unwanted.set()
            unfinished.unlink(missing_ok=True)
            raise
        unfinished.rename(self._directory / name)

    def _try(self, unfinished: Path, data: bytes, unwanted: threading.Event) -> None:
        if self._total_bytes + len(data) > self.limits.max_total_bytes:
            self._clean()
        try:
            self._write(unfinished, data)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        if unwanted.is_set():
            unfinished.unlink(missing_ok=True)

    def _write(self, path: Path, data: bytes) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
        now = self._clock()
        os.utime(path, (now, now))

    async def find(self, name: str, media_type: str) -> StoredClip | None:
        """Give a file by its name."""
        path = self._directory / name
        try:
            status = await to_thread.run_sync(path.lstat)
        except FileNotFoundError:
            return None
        left_s = status.st_mtime + self.limits.ttl_s - self._clock()
        return StoredClip(path, media_type, int(left_s)) if left_s > 0 else None

    async def clean(self) -> None:
        """Delete what has to go."""
        with self._telling():
            await to_thread.run_sync(self._clean)

    def _clean(self) -> None:
        now = self._clock()
        for path, written_at in self._unfinished():
            if now - written_at >= _UNFINISHED_TTL_S:
                path.unlink(missing_ok=True)
        gone, total_bytes = surplus(self._finished(), self.limits, now)
        for clip in gone:
            (self._directory / clip.name).unlink(missing_ok=True)
        self._total_bytes = total_bytes

    def _finished(self) -> Iterator[KeptClip]:
        for entry, status in self._files(NAME):
            yield KeptClip(status.st_mtime, entry.name, status.st_size)

    def _unfinished(self) -> Iterator[tuple[Path, float]]:
        for entry, status in self._files(_UNFINISHED):
            yield Path(entry.path), status.st_mtime

    def _files(self, names: re.Pattern[str]) -> Iterator[tuple[os.DirEntry[str], os.stat_result]]:
        with os.scandir(self._directory) as entries:
            for entry in entries:
                if names.fullmatch(entry.name) is None or not entry.is_file(follow_symlinks=False):
                    continue
                try:
                    yield entry, entry.stat(follow_symlinks=False)
                except FileNotFoundError:  # another server cleans up too
                    continue

    async def ping(self) -> None:
        """Fail when the folder is gone."""
        with self._telling():
            await to_thread.run_sync(self._directory.stat)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Say which folder it is that fails."""
        try:
            yield
        except OSError as error:
            raise StoreUnavailable(f"{self._directory}: {error.strerror or error}") from error


def _is_ours(name: str) -> bool:
    return bool(NAME.fullmatch(name) or _UNFINISHED.fullmatch(name))
