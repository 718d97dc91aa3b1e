"""A store of expiring conversations, and of nothing else, that cannot be reached when it is told so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jackfield import Capabilities, PluginInfo, Site, StoreUnavailable, hookimpl
from jackfield.contracts.session import StoredMessage, Window
from jackfield_session_memory import MemoryOptions, MemoryStore
from tests.contracts.plugins.trial_desk import Desk, TrialOptions


class TrialStore:
    """Hands everything on to a memory store while it can be reached."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._store = MemoryStore(MemoryOptions())

    def _reach(self) -> MemoryStore:
        if self._desk.mode == "down":
            raise StoreUnavailable("secret-123 refuses connections")
        return self._store

    async def ping(self) -> None:
        await self._reach().ping()

    async def size_bytes(self) -> int | None:
        return await self._reach().size_bytes()

    async def append(
        self, key: str, messages: Sequence[StoredMessage], *, max_messages: int, ttl_s: float
    ) -> bool:
        if self._desk.mode == "read only":
            raise StoreUnavailable("secret-123 refuses to write")
        self._desk.note(event="append", messages=len(messages))
        return await self._reach().append(key, messages, max_messages=max_messages, ttl_s=ttl_s)

    async def load(self, key: str) -> Window | None:
        return await self._reach().load(key)

    async def touch(self, key: str, *, ttl_s: float) -> bool:
        return await self._reach().touch(key, ttl_s=ttl_s)

    async def delete(self, key: str) -> bool:
        return await self._reach().delete(key)

    async def set_preferences(self, key: str, preferences: Mapping[str, Any], *, ttl_s: float) -> None:
        await self._reach().set_preferences(key, preferences, ttl_s=ttl_s)


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="session",
        name="trial",
        summary="A store that can be made unreachable.",
        options=TrialOptions,
        capabilities=lambda _options: Capabilities(roles=("windows",)),
    )


@hookimpl
def make_session(options: TrialOptions, site: Site) -> TrialStore:
    return TrialStore(Desk(options, "store"))
