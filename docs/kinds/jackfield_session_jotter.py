"""Jotter: a session store that keeps conversations in a dictionary, and forgets them when the server stops.

It has the role `windows`, which is what chats and calls need, and none of the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jackfield import Capabilities, Options, PluginInfo, Site, StoreUnavailable, hookimpl
from jackfield.contracts.json_object import json_object, preferences_text
from jackfield.contracts.session import StoredMessage, Window
from pydantic import Field

Clock = Callable[[], float]
"""Gives a time in seconds."""


class JotterOptions(Options):
    """What an operator may set under `[session.options]`."""

    max_sessions: int = Field(default=10_000, gt=0, description="Most conversations that are kept at once.")


@dataclass(frozen=True, slots=True)
class Kept:
    """A conversation, and when it expires, in seconds of the store's clock."""

    messages: tuple[StoredMessage, ...] = ()
    preferences: str = "{}"
    expires_s: float = 0.0


class JotterStore:
    """Keeps conversations. No method awaits anything halfway, so each is one step for all who call it."""

    def __init__(self, options: JotterOptions, clock: Clock = time.monotonic) -> None:
        self._max_sessions = options.max_sessions
        self._clock = clock
        self._kept: dict[str, Kept] = {}

    async def ping(self) -> None:
        pass  # it is always there

    async def size_bytes(self) -> int | None:
        return None

    async def append(
        self, key: str, messages: Sequence[StoredMessage], *, max_messages: int, ttl_s: float
    ) -> bool:
        known = self._find(key)
        kept = known or Kept()
        every = (*kept.messages, *messages)
        self._keep(key, replace(kept, messages=every[max(0, len(every) - max_messages) :]), ttl_s)
        return known is None

    async def load(self, key: str) -> Window | None:
        kept = self._find(key)
        return None if kept is None else Window(kept.messages, json_object(kept.preferences))

    async def touch(self, key: str, *, ttl_s: float) -> bool:
        kept = self._find(key)
        if kept is not None:
            self._keep(key, kept, ttl_s)
        return kept is not None

    async def delete(self, key: str) -> bool:
        known = self._find(key) is not None
        self._kept.pop(key, None)
        return known

    async def set_preferences(self, key: str, preferences: Mapping[str, Any], *, ttl_s: float) -> None:
        text = preferences_text(preferences)  # which refuses what cannot be kept
        self._keep(key, replace(self._find(key) or Kept(), preferences=text), ttl_s)

    def _find(self, key: str) -> Kept | None:
        kept = self._kept.get(key)
        return kept if kept is not None and kept.expires_s > self._clock() else None

    def _keep(self, key: str, kept: Kept, ttl_s: float) -> None:
        if key not in self._kept and len(self._kept) >= self._max_sessions:
            self._make_room()
        self._kept[key] = replace(kept, expires_s=self._clock() + ttl_s)

    def _make_room(self) -> None:
        now_s = self._clock()
        self._kept = {key: kept for key, kept in self._kept.items() if kept.expires_s > now_s}
        if len(self._kept) >= self._max_sessions:
            raise StoreUnavailable(
                f"The store is full: it holds {self._max_sessions} conversations. Raise `max_sessions`."
            )


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="session",
        name="jotter",
        summary="Keeps conversations in a dictionary.",
        options=JotterOptions,
        capabilities=lambda options: Capabilities(roles=("windows",)),
    )


@hookimpl
def make_session(options: JotterOptions, site: Site) -> JotterStore:
    return JotterStore(options)
