"""What was said in a call with a speech-to-speech model, on its way to the store."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

import anyio

from jackfield.contracts.call import CallTrouble
from jackfield.contracts.session import StoredMessage
from jackfield.contracts.turn import TurnRequest
from jackfield.dialogue.call.reply import Means
from jackfield.dialogue.call.words import joined
from jackfield.errors import ProtocolError

_WORDS_S: Final = 3.0
"""How long the words of a question are waited for when its answer is over."""


@dataclass(slots=True, eq=False)
class Question:
    """What the user said. The words may come when the answer has begun already."""

    kind: Literal["text", "voice"]
    text: str = ""
    known: anyio.Event = field(default_factory=anyio.Event)

    def is_heard_as(self, text: str) -> None:
        """Its words are known; without any, they are not to be had."""
        self.text = text
        self.known.set()


@dataclass(frozen=True, slots=True, eq=False)
class Exchange:
    """What the user said, perhaps in several goes, and what they heard."""

    questions: Sequence[Question]
    heard: str


class Exchanges:
    """Stores exchanges of the conversation of `request` one after the other, in its turn order."""

    def __init__(self, means: Means, request: TurnRequest) -> None:
        self._means = means
        self._request = request
        self._unstored: deque[Exchange] = deque()
        self._storing = anyio.Lock()
        self._changed = anyio.Event()

    def add(self, exchange: Exchange) -> None:
        """Have an exchange stored."""
        self._unstored.append(exchange)
        self._changed.set()

    async def run(self) -> None:
        """Store what is added, until cancelled."""
        while True:
            while self._unstored:
                exchange = self._unstored[0]
                with anyio.move_on_after(_WORDS_S):
                    for question in exchange.questions:
                        await question.known.wait()
                with anyio.CancelScope(shield=True):
                    async with self._storing:
                        if exchange in self._unstored:  # else it was settled meanwhile
                            await self._store_first()
            self._changed = anyio.Event()
            await self._changed.wait()

    async def settle(self) -> None:
        """Store what was added, as far as its words are known; returns when all of it is stored."""
        with anyio.CancelScope(shield=True):
            async with self._storing:
                while self._unstored:
                    await self._store_first()

    async def _store_first(self) -> None:
        """Store the oldest, under the lock and a shield: the store has a time limit of its own."""
        exchange = self._unstored.popleft()
        kind = exchange.questions[0].kind if exchange.questions else "voice"
        question = joined(*(question.text for question in exchange.questions))
        now = datetime.now(UTC)
        messages = [StoredMessage(question, kind, now, is_user=True)] if question else []
        messages.append(StoredMessage(exchange.heard, kind, now, is_user=False))
        try:
            async with self._means.order.turn(self._means.sessions.key(self._request.conversation)):
                await self._means.store(self._request, *messages)
        except ProtocolError as error:  # too many turns of the conversation wait already
            self._means.floor.leg.tell(CallTrouble(error.code))
