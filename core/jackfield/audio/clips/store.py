"""The stored clips of a server: compressed, kept in their place, and found by name."""

from __future__ import annotations

import logging
import os
from functools import partial
from types import TracebackType
from typing import Final, Self

import anyio
from anyio import CapacityLimiter, to_thread

from jackfield.audio.clips.files import ClipFiles
from jackfield.audio.clips.names import MEDIA_TYPES, media_type_of, new_name
from jackfield.audio.encode import ClipFormat, can_encode, encode
from jackfield.contracts.panel import StoredClip
from jackfield.errors import StoreUnavailable

logger: Final = logging.getLogger(__name__)


class ClipStore:
    """Implements `jackfield.contracts.panel.Clips` on a place for files. An async context manager.

    `public_base_url` (a CDN that serves the place) wins over `public_url` (this server as clients see it);
    without either, addresses are paths.
    """

    def __init__(
        self,
        files: ClipFiles,
        *,
        container: ClipFormat,
        public_base_url: str | None = None,
        public_url: str | None = None,
    ) -> None:
        self._files = files
        self._container: ClipFormat = container
        self._public_base_url = public_base_url
        self._public_url = public_url or ""
        self._encoders = CapacityLimiter(max(1, os.cpu_count() or 1))

    @property
    def total_bytes(self) -> int:
        """Size of all stored clips, as far as is known without asking."""
        return self._files.total_bytes

    async def __aenter__(self) -> Self:
        """Open the place, and find out whether there is an encoder.

        :raises ConfigError: when clips cannot be stored there.
        """
        if not await to_thread.run_sync(can_encode, self._container):
            logger.warning("No %s encoder is installed; spoken answers are stored as WAV.", self._container)
            self._container = "wav"
        await self._files.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Close the place. The clips stay: they outlive the server until they expire."""
        await self._files.__aexit__(exc_type, exc, tb)

    async def save(self, pcm: bytes, rate_hz: int) -> str:
        """Compress and store; gives the file's name. PCM, signed 16-bit little-endian, mono.

        Comes back once the clip can be fetched, by way of any server that shares the place. When cancelled
        the caller has control at once.

        :raises StoreUnavailable: when the place does not take it.
        """
        name = new_name(self._container)
        data, media_type = await self.compress(pcm, rate_hz)
        await self._files.keep(name, data, media_type)
        return name

    async def compress(self, pcm: bytes, rate_hz: int) -> tuple[bytes, str]:
        """Give a whole file as stored clips are, and its media type; stores nothing."""
        container = self._container
        call = partial(encode, pcm, rate_hz, container)
        data = await to_thread.run_sync(call, abandon_on_cancel=True, limiter=self._encoders)
        return data, MEDIA_TYPES[container]

    async def find(self, name: str) -> StoredClip | None:
        """Give a clip; None for a name that is malformed (nobody is asked), unknown or expired.

        :raises StoreUnavailable: when that cannot be told now.
        """
        media_type = media_type_of(name)
        return None if media_type is None else await self._files.find(name, media_type)

    def url(self, name: str, route: str) -> str:
        """Address for clients: `route` is the path of the transport's own audio route, mount included."""
        if self._public_base_url:
            return f"{self._public_base_url.rstrip('/')}/{name}"
        return f"{self._public_url.rstrip('/')}{route}/{name}"

    async def ping(self) -> None:
        """Do nothing, but fail when the place cannot be reached.

        :raises StoreUnavailable: when it cannot.
        """
        await self._files.ping()

    async def clean(self) -> None:
        """Delete what is too old, then the oldest until the rest is small enough.

        :raises StoreUnavailable: when that fails.
        """
        await self._files.clean()

    async def run_cleanup(self) -> None:
        """Clean up now and then, until cancelled."""
        while True:
            await anyio.sleep(self._files.limits.clean_s)
            try:
                await self.clean()
            except StoreUnavailable as error:
                logger.warning("Cleaning up the stored clips failed; it is tried again: %s", error)
