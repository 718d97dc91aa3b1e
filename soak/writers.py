"""Writers to a store that is killed: each pair of messages is written until it is stored for certain."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, Protocol

import anyio

from jackfield import StoreUnavailable
from jackfield.contracts.session import Conflict, Conversation, Record, Records, StoredMessage, User, Windows
from soak.ledger import Ledger

PAIRS_A_PLACE: Final = 50
"""Pairs that one writer puts into a conversation before it begins another."""
_TTL_S: Final = 24 * 3600.0
_PACE_S: Final = 0.005
_GIVE_UP_S: Final = 60.0
_RETRY_S: Final = 0.02


class TriedStore(Windows, Records, Protocol):
    """What a store must be to be tried."""


class Writer(ABC):
    """Writes pair after pair. `name` begins the names of its pairs, and has no space."""

    def __init__(self, store: TriedStore, ledger: Ledger, name: str, place: str) -> None:
        self.store = store
        self.name = name
        self._ledger = ledger
        self._place = place

    async def run(self) -> None:
        """Write until cancelled."""
        for count in itertools.count():
            place, pair = f"{self._place}-{count // PAIRS_A_PLACE}", f"{self.name} {count}"
            with anyio.CancelScope(shield=True), anyio.fail_after(_GIVE_UP_S):
                await self._write_surely(place, pair)  # to its end, for a pair under way is in doubt
            self._ledger.note(place, pair)
            await anyio.sleep(_PACE_S)

    async def _write_surely(self, place: str, pair: str) -> None:
        """Write a pair; after an error look whether it is there before writing it again."""
        doubtful = False
        while True:
            try:
                if doubtful and await self.holds(place, pair):
                    self._ledger.found += 2
                    return
                await self.write(place, pair)
                self._ledger.repeated += 2 * doubtful
                return
            except StoreUnavailable:
                self._ledger.errors += 1
                doubtful = True
                await anyio.sleep(_RETRY_S)
            except Conflict:  # what was in doubt was still on its way when its writer looked
                if not doubtful:
                    raise
                self._ledger.found += 2
                return

    @abstractmethod
    async def write(self, place: str, pair: str) -> None:
        """Write a pair once."""

    @abstractmethod
    async def holds(self, place: str, pair: str) -> bool:
        """Whether the store has the pair."""


class WindowWriter(Writer):
    """Writes to expiring conversations."""

    async def write(self, place: str, pair: str) -> None:
        now = datetime.now(UTC)
        question = StoredMessage(f"{pair} question", "text", now, is_user=True)
        answer = StoredMessage(f"{pair} question answer", "text", now, is_user=False)
        await self.store.append(place, [question, answer], max_messages=100_000, ttl_s=_TTL_S)

    async def holds(self, place: str, pair: str) -> bool:
        return f"{pair} question" in await window_contents(self.store, place)


class RecordWriter(Writer):
    """Writes to a user's lasting conversations."""

    @property
    def user_id(self) -> str:
        """Whose conversations they are: the place's own."""
        return self._place

    async def write(self, place: str, pair: str) -> None:
        now = datetime.now(UTC)
        records = [
            Record(f"{pair} question", place, "user", f"{pair} question", now),
            Record(f"{pair} answer", place, "assistant", f"{pair} question answer", now),
        ]
        if not await self.store.add_records(self.user_id, records):
            await self._begin(place, now)
            await self.store.add_records(self.user_id, records)

    async def _begin(self, place: str, now: datetime) -> None:
        with suppress(Conflict):  # it was added for an earlier conversation
            await self.store.add_user(User(self.user_id, self.user_id, now))
        with suppress(Conflict):  # another writer was faster, or the store could not say that it was added
            await self.store.add_conversation(Conversation(place, self.user_id, place, now, now))

    async def holds(self, place: str, pair: str) -> bool:
        return f"{pair} question" in await record_contents(self.store, self.user_id, place)


async def window_contents(store: TriedStore, place: str) -> list[str]:
    """What an expiring conversation has, oldest first."""
    window = await store.load(place)
    return [message.content for message in window.messages] if window else []


async def record_contents(store: TriedStore, user_id: str, place: str) -> list[str]:
    """What a lasting conversation has, oldest first, read page by page."""
    contents: list[str] = []
    before: str | None = None
    while True:
        page = await store.records(user_id, place, limit=100, before=before)
        if page is None:
            return contents
        contents[:0] = [record.content for record in page.items]
        before = page.next_cursor
        if before is None:
            return contents
