"""Who looks at which chat: the sockets of this process, and what each chat's have been told."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from jackfield.contracts.session import Record
from jackfield.sockets import JsonSocket, encoded
from jackfield_transport_chat_app.chats import Chats
from jackfield_transport_chat_app.events import Json, chat_history

_PRIMED_WITH = 50
"""Newest messages that are known when the first socket comes to a chat."""
_IDS_KEPT = 1000
_PAGES_BACK = 20


class Member:
    """A socket of a user, on one chat or on none yet."""

    def __init__(self, socket: JsonSocket, owner: str) -> None:
        self.socket = socket
        self.owner = owner
        self.chat_id: str | None = None
        self._held: list[tuple[frozenset[str], str]] | None = None
        self._shown: frozenset[str] = frozenset()

    def append(self, record_ids: frozenset[str], text: str) -> None:
        """Send messages to append, after a history that is being read, and not if they are in it."""
        if self._held is not None:
            self._held.append((record_ids, text))
        else:
            self.socket.post_text(text)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Hold what is to be appended back: `show` comes first."""
        self._held = []
        self._shown = frozenset()
        try:
            yield
        finally:
            held, self._held = self._held, None
            for record_ids, text in held:
                if not record_ids <= self._shown:
                    self.socket.post_text(text)

    def show(self, event: Json, record_ids: Collection[str]) -> None:
        """Send a history."""
        self._shown = frozenset(record_ids)
        self.socket.post(event)


class _Room:
    """A chat that sockets of this process are on."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.members: set[Member] = set()
        self.primed = False
        self._known: dict[str, None] = {}

    def unknown(self, records: Sequence[Record]) -> list[Record]:
        """Those that the sockets have not been told of."""
        return [record for record in records if record.id not in self._known]

    def learn(self, records: Sequence[Record]) -> None:
        """Note what the sockets were told, or need not be told."""
        self.primed = True
        self._known.update(dict.fromkeys(record.id for record in records))
        while len(self._known) > _IDS_KEPT:
            del self._known[next(iter(self._known))]


class Audience:
    """All sockets of a door that are on a chat."""

    def __init__(self, chats: Chats) -> None:
        self._chats = chats
        self._rooms: dict[str, _Room] = {}

    async def enter(self, member: Member, chat_id: str) -> None:
        """Put a socket on a chat, which is known to be its user's.

        :raises StoreUnavailable: when the chat cannot be read.
        """
        room = self._move(member, chat_id)
        if not room.primed:
            await self._prime(chat_id, room)

    def enter_new(self, member: Member, chat_id: str, records: Sequence[Record]) -> None:
        """Put a socket on a chat that has just begun with these messages, which it has been told."""
        self._move(member, chat_id).learn(records)

    def leave(self, member: Member) -> None:
        """Take a socket off its chat."""
        room = self._rooms.get(member.chat_id or "")
        if room is not None and member.chat_id is not None:
            room.members.discard(member)
            if not room.members:
                del self._rooms[member.chat_id]
        member.chat_id = None

    def chats_of(self, owner: str) -> list[str]:
        """Chats of a user that sockets are on."""
        return [chat_id for chat_id, room in self._rooms.items() if room.owner == owner]

    def tell(self, chat_id: str, records: Sequence[Record], sender: Member | None = None) -> None:
        """Tell every socket on a chat, but the sender's, of new messages that belong together."""
        room = self._rooms.get(chat_id)
        new = room.unknown(records) if room else []
        if room is None or not new:
            return
        room.learn(new)
        text = encoded(chat_history(chat_id, new, append=True))
        record_ids = frozenset(record.id for record in new)
        for member in room.members:
            if member is not sender:
                member.append(record_ids, text)

    async def catch_up(self, chat_id: str) -> None:
        """Read what others have added to a chat, and tell it exchange by exchange.

        :raises StoreUnavailable: when the chat cannot be read.
        """
        room = self._rooms.get(chat_id)
        if room is None:
            return
        if not room.primed:
            await self._prime(chat_id, room)
            return
        found: list[Record] = []
        cursor: str | None = None
        for _ in range(_PAGES_BACK):
            page = await self._chats.records.records(room.owner, chat_id, limit=_PRIMED_WITH, before=cursor)
            if page is None:  # deleted in the meantime
                return
            new = room.unknown(page.items)
            found[:0] = new
            cursor = page.next_cursor
            if cursor is None or len(new) < len(page.items):
                break
        for exchange in _exchanges(found):
            self.tell(chat_id, exchange)

    def _move(self, member: Member, chat_id: str) -> _Room:
        if member.chat_id != chat_id:
            self.leave(member)
        room = self._rooms.setdefault(chat_id, _Room(member.owner))
        room.members.add(member)
        member.chat_id = chat_id
        return room

    async def _prime(self, chat_id: str, room: _Room) -> None:
        page = await self._chats.records.records(room.owner, chat_id, limit=_PRIMED_WITH)
        room.learn(page.items if page else ())


def _exchanges(records: Sequence[Record]) -> Iterator[list[Record]]:
    """Give questions with their answers."""
    exchange: list[Record] = []
    for record in records:
        if exchange and record.role == "user":
            yield exchange
            exchange = []
        exchange.append(record)
    if exchange:
        yield exchange
