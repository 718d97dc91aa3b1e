"""The windows role: the newest messages of each conversation, for a while."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jackfield import StoreUnavailable
from jackfield.contracts.json_object import json_object, preferences_text
from jackfield.contracts.session import StoredMessage, Window
from jackfield_session_memory.expiring import Bounds, ExpiringTable
from jackfield_session_memory.options import MemoryOptions

_MESSAGE_BYTES: Final = 200
_NONE: Final = "{}"
"""No preferences, as nearly every user has it."""


@dataclass(frozen=True, slots=True)
class _Kept:
    messages: tuple[StoredMessage, ...] = ()
    preferences: str = _NONE


class MemoryWindows:
    """Conversations by key. Full, it forgets the conversation that would expire next."""

    def __init__(self, options: MemoryOptions, clock: Callable[[], float]) -> None:
        self._max_session_bytes = options.max_session_bytes
        bounds = Bounds(options.max_sessions, options.max_sessions_bytes, evicts=True)
        self._windows: ExpiringTable[_Kept] = ExpiringTable("conversations", bounds, clock)

    async def append(
        self, key: str, messages: Sequence[StoredMessage], *, max_messages: int, ttl_s: float
    ) -> bool:
        known = self._windows.get(key)
        kept = known or _Kept()
        newest = (*kept.messages, *messages)[-max_messages:] if max_messages > 0 else ()
        self._keep(key, _Kept(self._within_bytes(newest), kept.preferences), ttl_s)
        return known is None

    async def load(self, key: str) -> Window | None:
        kept = self._windows.get(key)
        if kept is None:
            return None
        return Window(kept.messages, json_object(kept.preferences) if kept.preferences != _NONE else {})

    async def touch(self, key: str, *, ttl_s: float) -> bool:
        return self._windows.touch(key, ttl_s)

    async def delete(self, key: str) -> bool:
        return self._windows.pop(key) is not None

    async def set_preferences(self, key: str, preferences: Mapping[str, Any], *, ttl_s: float) -> None:
        text = preferences_text(preferences)
        kept = self._windows.get(key) or _Kept()
        self._keep(key, _Kept(kept.messages, text), ttl_s)

    def _keep(self, key: str, kept: _Kept, ttl_s: float) -> None:
        size_bytes = sum(map(_size_bytes, kept.messages)) + sys.getsizeof(kept.preferences)
        self._windows.set(key, kept, size_bytes, ttl_s)

    def _within_bytes(self, messages: tuple[StoredMessage, ...]) -> tuple[StoredMessage, ...]:
        """Give the newest messages that fit."""
        total_bytes = 0
        for at in range(len(messages) - 1, -1, -1):
            total_bytes += _size_bytes(messages[at])
            if total_bytes > self._max_session_bytes:
                if at == len(messages) - 1:
                    raise StoreUnavailable(
                        f"One message takes {total_bytes} bytes, and a conversation may take "
                        f"{self._max_session_bytes}. Raise `max_session_bytes`."
                    )
                return messages[at + 1 :]
        return messages


def _size_bytes(message: StoredMessage) -> int:
    return sys.getsizeof(message.content) + _MESSAGE_BYTES
