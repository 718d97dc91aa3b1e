"""Conversations that last: what a model is told of them, and how a turn is added."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from uuid import uuid4

import anyio

from jackfield.contracts.session import Conflict, Conversation, Record, Records, StoredMessage, Window
from jackfield.contracts.turn import Recording, TurnRequest
from jackfield.dialogue.sessions import SessionService
from jackfield.errors import ProtocolError, StoreUnavailable

logger = logging.getLogger(__name__)

_WAITING: Final = 32
"""Questions that may have been added beside the remembered records, and are not told: others of this
conversation that wait, and those that got no answer."""

_TITLE_CHARS: Final = 60


class Recorder:
    """Reads and adds the records of turns, within the time limit of stores.

    :raises ProtocolError: by every method: 404 when the conversation is unknown, or another user's.
    :raises StoreUnavailable: by every method: when the store does not answer.
    """

    def __init__(self, sessions: SessionService) -> None:
        self._sessions = sessions

    async def window(self, recording: Recording, asked: Record | None) -> Window:
        """Give what the model is told of the conversation, as a window.

        `asked` is the question when it has been added. Questions that got no answer are left out, and so are
        those that came later and wait.
        """
        count = recording.remembered or 0
        reading = self._records().records(recording.owner, recording.conversation, limit=count + _WAITING)
        page = await self._sessions.in_time(reading)
        if page is None and recording.title is not None:
            return Window()
        if page is None:
            raise _unknown()
        told: list[Record] = []
        waiting = False
        for record in page.items:
            if asked is not None and record.id == asked.id:
                waiting = True
            elif record.status == "ok" and not (waiting and record.role == "user"):
                told.append(record)
        return Window(tuple(_stored(record) for record in told[-count:]))

    async def ask(self, recording: Recording, request: TurnRequest) -> Record:
        """Add the question."""
        question = _record(recording, request, "user", request.text, datetime.now(UTC))
        await self._add_first(recording, question)
        return question

    async def answer(
        self, recording: Recording, request: TurnRequest, text: str, *, asked: Record | None, after_s: float
    ) -> list[Record]:
        """Add the answer, and the question unless it has been; gives what was added. It took `after_s`."""
        now = datetime.now(UTC)
        new = [_record(recording, request, "assistant", text, now)]
        if asked is None:
            at = now - timedelta(seconds=after_s)
            new.insert(0, _record(recording, request, "user", request.text, at))
            await self._add_first(recording, *new)
        else:
            await self._add(recording, *new)
        return new

    async def mark_unanswered(self, recording: Recording, asked: Record) -> None:
        """Note that a question got no answer; without its store it stays as it is."""
        marking = self._records().set_record_status(recording.owner, asked.id, "unanswered")
        try:
            await self._sessions.in_time(marking)
        except StoreUnavailable as error:  # whatever ended the turn is told instead
            logger.warning("a question cannot be marked as unanswered: %s", error)

    async def _add_first(self, recording: Recording, *records: Record) -> None:
        """Add the first records of a turn, and before them the conversation if it may be and is missing."""
        if recording.title is None:
            await self._add(recording, *records)
        elif not await self._added(recording, *records):
            title = recording.title or title_of(records[0].content)
            await self._begin(recording, title, *records)

    async def _begin(self, recording: Recording, title: str, *records: Record) -> None:
        """Add a conversation with its first records."""
        at = records[0].created_at
        new = Conversation(recording.conversation, recording.owner, title, at, at)
        with anyio.CancelScope(shield=True):  # both or neither, also for a user who goes away meanwhile
            try:
                await self._sessions.in_time(self._records().add_conversation(new))
            except Conflict:  # it began elsewhere meanwhile, or is another user's
                await self._add(recording, *records)
                return
            try:
                await self._add(recording, *records)
            except Exception:
                await self._take_back(recording)
                raise

    async def _take_back(self, recording: Recording) -> None:
        deleting = self._records().delete_conversation(recording.owner, recording.conversation)
        try:
            await self._sessions.in_time(deleting)
        except StoreUnavailable as error:  # what happened before is told instead
            logger.warning("an empty conversation cannot be taken back: %s", error)

    async def _add(self, recording: Recording, *records: Record) -> None:
        if not await self._added(recording, *records):
            raise _unknown()

    async def _added(self, recording: Recording, *records: Record) -> bool:
        """Whether there was such a conversation to add to."""
        return await self._sessions.in_time(self._records().add_records(recording.owner, records))

    def _records(self) -> Records:
        if self._sessions.records is None:
            raise RuntimeError("no session store has the role records")
        return self._sessions.records


def title_of(text: str) -> str:
    """The title of a conversation that begins with this message."""
    return " ".join(text.split())[:_TITLE_CHARS].rstrip()


def _record(
    recording: Recording, request: TurnRequest, role: Literal["user", "assistant"], content: str, at: datetime
) -> Record:
    spoken = request.message_type == "voice"
    return Record(str(uuid4()), recording.conversation, role, content, at, is_audio=spoken)


def _stored(record: Record) -> StoredMessage:
    kind: Literal["text", "voice"] = "voice" if record.is_audio else "text"
    return StoredMessage(record.content, kind, record.created_at, is_user=record.role == "user")


def _unknown() -> ProtocolError:
    return ProtocolError(404, "conversation_not_found", "There is no such conversation.")
