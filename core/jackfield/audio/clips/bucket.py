"""Clips in an object store: S3 and what speaks like it, Azure Blob Storage, Google Cloud Storage."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

import anyio

from jackfield.audio.clips.files import ClipLimits, KeptClip, surplus
from jackfield.audio.clips.names import NAME, new_name
from jackfield.audio.clips.outages import Outage, outage_of, silence
from jackfield.contracts.panel import StoredClip
from jackfield.errors import ConfigError, Problem, StoreUnavailable

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

_NOTE: Final = "jackfield-clips.txt"
"""The object in which whoever cleaned up last notes the size of all clips; its age says whose turn it is."""
_LISTED_AT_ONCE: Final = 1000
_DELETED_AT_ONCE: Final = 100
_PIECE_BYTES: Final = 512 * 1024
_SPARED_S: Final = 60.0
"""A clip younger than this is not deleted to make room: its user has hardly had the time to fetch it."""


class ClipBucket:
    """Implements `ClipFiles` on an object store. `connect` makes the client; `url` is what it is called.

    Ages are measured by the store's clock, so that neither a server whose clock is wrong nor one that shares
    the bucket deletes what another has just written. `clock` gives seconds since the epoch.
    """

    def __init__(
        self,
        connect: Callable[[], ObjectStore],
        limits: ClipLimits,
        *,
        url: str,
        request_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._connect = connect
        self.limits = limits
        self._url = url
        self._request_s = request_s
        self._clock = clock
        self._ahead_s = 0.0
        """Seconds that the store's clock is ahead of ours."""
        self._total_bytes = 0
        self._opened: ObjectStore | None = None

    @property
    def total_bytes(self) -> int:
        """Size of all clips as the last clean-up found it, and of those that were stored here since."""
        return self._total_bytes

    async def __aenter__(self) -> Self:
        """Prove that clips can be written, read, listed and deleted, and clean up.

        :raises ConfigError: naming the setting.
        """
        self._opened = self._connect()
        try:
            await self._try(new_name("wav"))
            await self.clean()
        except _Failed as error:
            message = f"Spoken answers cannot be stored in {self._url}: {error.outage.reason}."
            fix = error.outage.fix(urlsplit(self._url).scheme)
            raise ConfigError([Problem("audio.url", message, fix)]) from None
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Leave the clips where they are: they outlive the server until they expire."""

    @property
    def _store(self) -> ObjectStore:
        assert self._opened is not None, "clips are kept in an open place only"
        return self._opened

    async def _try(self, trial: str) -> None:
        with self._asking():
            await self._store.put_async(trial, b"", use_multipart=False)
        await self._tell_time(trial)
        with self._asking():
            await anext(self._store.list(chunk_size=_LISTED_AT_ONCE))
        await self._delete([trial])

    async def _tell_time(self, just_written: str) -> None:
        with self._asking():
            meta = await self._store.head_async(just_written)
        self._ahead_s = _written_at(meta) - self._clock()

    def _now(self) -> float:
        """What the store's clock shows."""
        return self._clock() + self._ahead_s

    async def keep(self, name: str, data: bytes, media_type: str) -> None:
        """Write an object whole. What was sent before a cancellation may stay, under a name nobody knows."""
        lasting = f"public, max-age={int(self.limits.ttl_s)}"  # for a CDN: the name is what admits a client
        with self._asking():
            await self._store.put_async(
                name,
                data,
                attributes={"Content-Type": media_type, "Cache-Control": lasting},
                use_multipart=False,
            )
        self._total_bytes += len(data)

    async def find(self, name: str, media_type: str) -> StoredClip | None:
        """Give an object by its name."""
        try:
            with self._asking(may_lack=True):
                meta = await self._store.head_async(name)
        except FileNotFoundError:
            return None
        left_s = _written_at(meta) + self.limits.ttl_s - self._now()
        if left_s <= 0:
            return None
        return StoredClip(Path(name), media_type, int(left_s), _Content(self, name, meta["size"]))

    async def read(self, name: str, part: range) -> bytes:
        """Give some bytes of an object.

        :raises FileNotFoundError: when it is gone.
        :raises StoreUnavailable: when it cannot be read now.
        """
        with self._asking(may_lack=True):
            return bytes(await self._store.get_range_async(name, start=part.start, end=part.stop))

    async def ping(self) -> None:
        """Fail when the bucket cannot be reached."""
        await self._read_note()

    async def clean(self) -> None:
        """Delete what has to go, unless another server has just done so."""
        note = await self._read_note()
        if note is not None:
            noted_at, self._total_bytes = note
            if self._now() - noted_at < self.limits.clean_s / 2:
                return
        await self._write_note()  # from now on it is nobody else's turn
        await self._tell_time(_NOTE)
        clips = await self._list()
        gone, self._total_bytes = surplus(clips, self.limits, self._now(), spared_s=_SPARED_S)
        await self._delete([clip.name for clip in gone])
        await self._write_note()

    async def _read_note(self) -> tuple[float, int] | None:
        """When somebody last cleaned up, by the store's clock, and the size that was left."""
        try:
            with self._asking(may_lack=True):
                found = await self._store.get_async(_NOTE)
                noted = bytes(await found.bytes_async())
        except FileNotFoundError:
            return None
        return _written_at(found.meta), int(noted) if noted.isdigit() else 0

    async def _write_note(self) -> None:
        with self._asking():
            await self._store.put_async(_NOTE, b"%d" % self._total_bytes, use_multipart=False)

    async def _list(self) -> list[KeptClip]:
        clips: list[KeptClip] = []
        pages = self._store.list(chunk_size=_LISTED_AT_ONCE)
        while True:
            try:
                with self._asking():
                    page = await anext(pages)
            except StopAsyncIteration:
                return clips
            clips += [
                KeptClip(_written_at(meta), meta["path"], meta["size"])
                for meta in page
                if NAME.fullmatch(meta["path"])
            ]

    async def _delete(self, names: Sequence[str]) -> None:
        for first in range(0, len(names), _DELETED_AT_ONCE):
            some = names[first : first + _DELETED_AT_ONCE]
            try:
                with self._asking(may_lack=True):
                    await self._store.delete_async(some)
            except FileNotFoundError:  # of a store that deletes one by one, where another server was faster
                for name in some:
                    await self._delete_one(name)

    async def _delete_one(self, name: str) -> None:
        with suppress(FileNotFoundError), self._asking(may_lack=True):
            await self._store.delete_async(name)

    @contextmanager
    def _asking(self, *, may_lack: bool = False) -> Iterator[None]:
        """Bound a request, and say in our words what went wrong with it.

        :raises FileNotFoundError: when there is no such object, where the store `may_lack` it.
        """
        from obstore.exceptions import BaseError

        try:
            with anyio.fail_after(self._request_s):
                yield
        except TimeoutError:
            raise _Failed(self._url, silence(self._request_s)) from None
        except (BaseError, OSError, ValueError) as error:
            outage = outage_of(error)
            if may_lack and isinstance(error, FileNotFoundError) and not outage.no_bucket:
                raise
            # Without its cause: the library's words may hold an address with a signature.
            raise _Failed(self._url, outage) from None


class _Failed(StoreUnavailable):
    """An object store that did not do what it was asked for."""

    def __init__(self, url: str, outage: Outage) -> None:
        super().__init__(f"{url}: {outage.reason}")
        self.outage = outage


class _Content:
    """Implements `jackfield.contracts.panel.ClipContent`."""

    def __init__(self, bucket: ClipBucket, name: str, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._bucket = bucket
        self._name = name

    async def read(self, part: range) -> AsyncGenerator[bytes, None]:
        """Ask for piece after piece: a client that takes its time holds no request open."""
        for first in range(part.start, part.stop, _PIECE_BYTES):
            yield await self._bucket.read(self._name, range(first, min(first + _PIECE_BYTES, part.stop)))


def _written_at(meta: ObjectMeta) -> float:
    return meta["last_modified"].timestamp()
