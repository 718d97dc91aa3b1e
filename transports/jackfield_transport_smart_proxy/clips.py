"""Spoken answers under this server's own names, whoever spoke them."""

from __future__ import annotations

import re
import secrets
from pathlib import PurePosixPath
from typing import Final

from jackfield import Site
from jackfield.contracts.panel import Panel, StoredClip
from jackfield.contracts.session import Shared
from jackfield_transport_smart_proxy.answers import bad_response
from jackfield_transport_smart_proxy.cache import NAME, ClipCache
from jackfield_transport_smart_proxy.upstream import Unreachable, Upstream

ROUTE: Final = "/api/voice"

_RANDOM_BYTES: Final = 16
_KEY: Final = "smart_proxy:clip:"
_EXTENSION: Final = re.compile(r"\.(mp3|ogg|wav|webm)")


class Clips:
    """Gives names to the backend's spoken answers, and finds files by name: its own, and the backend's.

    What a name stands for is in the store's role `shared`, so any server that shares it can serve the name.
    """

    def __init__(self, panel: Panel, site: Site, upstream: Upstream, cache: ClipCache, ttl_s: float) -> None:
        self._panel = panel
        self._site = site
        self._upstream = upstream
        self._cache = cache
        self._ttl_s = ttl_s
        self.route: Final = f"{site.mount}{ROUTE}"

    @property
    def _shared(self) -> Shared:
        shared = self._panel.sessions.shared
        assert shared is not None, "the role is declared as needed"
        return shared

    async def renamed(self, url: str) -> str:
        """Give the address under which clients fetch a spoken answer of the backend.

        One on the backend's own origin gets a name of ours; any other address stays as it is.

        :raises ProtocolError: 502 `backend_bad_response` for what is no address.
        :raises StoreUnavailable: when the name cannot be kept.
        """
        try:
            path = self._upstream.own_path(url)
        except ValueError as error:
            raise bad_response() from error
        if path is None:
            return url
        extension = PurePosixPath(path.partition("?")[0]).suffix.lower()
        name = secrets.token_urlsafe(_RANDOM_BYTES)
        name += extension if _EXTENSION.fullmatch(extension) else ".mp3"
        await self._shared.put(_KEY + name, path, ttl_s=self._ttl_s)
        return f"{self._panel.settings.public_url}{self.route}/{name}"

    async def find(self, name: str) -> StoredClip | None:
        """Give a file; None for a name that is malformed, unknown or expired, or whose file cannot be had."""
        if NAME.fullmatch(name) is None:
            return None
        own = await self._panel.clips.find(name) or await self._cache.find(name)
        if own is not None:
            return own
        path = await self._shared.get(_KEY + name)
        if path is None or not await self._fetch(name, path):
            return None
        return await self._cache.find(name)

    async def _fetch(self, name: str, path: str) -> bool:
        try:
            async with self._upstream.clip(path) as pieces:
                return await self._cache.keep(name, pieces)
        except Unreachable as error:
            self._site.logger.info("a spoken answer cannot be fetched: %s", error)
            return False
