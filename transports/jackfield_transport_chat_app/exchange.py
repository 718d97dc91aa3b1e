"""An exchange: a message, its answer, and what was measured, whichever way the message came."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from jackfield import ProtocolError, Site, StoreUnavailable
from jackfield.contracts.auth import UserId
from jackfield.contracts.llm import Finish
from jackfield.contracts.panel import Panel, Sessions
from jackfield.contracts.session import Record
from jackfield.contracts.turn import ConversationRef, Recorded, Recording, TurnRequest
from jackfield_transport_chat_app.audience import Audience, Member
from jackfield_transport_chat_app.chats import new_chat_id
from jackfield_transport_chat_app.fields import no_such_chat
from jackfield_transport_chat_app.figures import Figures
from jackfield_transport_chat_app.measurement import Measured, Measurement
from jackfield_transport_chat_app.replicas import Replicas

if TYPE_CHECKING:
    from jackfield_transport_chat_app import ChatAppOptions

_TOTALS_KEPT: Final = 1000
_TOTAL_TTL_S: Final = 90 * 86_400.0
"""Of a chat that is used no more: it may have been deleted, here or through another door."""


@dataclass(frozen=True, slots=True)
class Question:
    """A message that is to be answered."""

    user: UserId
    text: str = field(repr=False)
    received_s: float
    """When it came, of `time.perf_counter`."""
    chat_id: str | None = None
    """A chat of the user; None begins a new one."""
    stored: bool = True
    sender: Member | None = None
    """The socket that it came on."""


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of the answer."""

    text: str = field(repr=False)
    chat_id: str | None


@dataclass(frozen=True, slots=True)
class Answered:
    """The end of an exchange."""

    text: str = field(repr=False)
    chat_id: str | None
    """None when it is stored nowhere."""
    records: tuple[Record, ...]
    measured: Measured
    tokens_total: int
    """Tokens of the whole chat so far."""


class Totals:
    """The tokens of each chat: in the store's role `shared`, or as far as this process knows."""

    def __init__(self, sessions: Sessions, logger: logging.Logger) -> None:
        self._sessions = sessions
        self._logger = logger
        self._known: OrderedDict[str, int] = OrderedDict()

    async def add(self, chat_id: str, tokens: int) -> int:
        """Add the tokens of an exchange and give the sum. Within the chat's turn, so one at a time."""
        total = self._known.get(chat_id, 0)
        shared, key = self._sessions.shared, f"chat_app:tokens:{chat_id}"
        if shared is not None:
            try:
                total = max(total, int(await shared.get(key) or 0))
                await shared.put(key, str(total + tokens), ttl_s=_TOTAL_TTL_S)
            except StoreUnavailable as error:  # the exchange is stored all the same
                self._logger.warning("the tokens of a chat cannot be added up: %s", error)
        self._known[chat_id] = total + tokens
        self._known.move_to_end(chat_id)
        if len(self._known) > _TOTALS_KEPT:
            self._known.popitem(last=False)
        return total + tokens


class Exchanges:
    """Answers questions through the panel, and tells everybody who has to know."""

    def __init__(
        self,
        panel: Panel,
        options: ChatAppOptions,
        site: Site,
        audience: Audience,
        replicas: Replicas,
        figures: Figures,
    ) -> None:
        self._panel = panel
        self._options = options
        self._site = site
        self._audience = audience
        self._replicas = replicas
        self._figures = figures
        self._totals = Totals(panel.sessions, site.logger)

    async def answer(self, question: Question) -> AsyncGenerator[Delta | Answered, None]:
        """Yield the answer as it comes, then its end. Closing the generator stores nothing more.

        :raises ProtocolError: as the panel's assistant does; 404 `chat_not_found`.
        :raises StoreUnavailable: when the chat cannot be read or stored.
        """
        chat_id = question.chat_id or new_chat_id()
        shown_id = chat_id if question.stored else None
        measurement = Measurement(question.received_s)
        pieces: list[str] = []
        records: list[Record] = []
        try:
            async with aclosing(self._panel.assistant.reply(self._turn(question, chat_id))) as outputs:
                async for output in outputs:
                    measurement.take(output)
                    if isinstance(output, str):
                        pieces.append(output)
                        yield Delta(output, shown_id)
                    elif isinstance(output, Recorded):
                        records.append(output.record)
                    elif isinstance(output, Finish):
                        measured = measurement.end(output)
                        total = await self._ended(question, shown_id, records, measured)
                        text = "".join(pieces).strip()
                        yield Answered(text, shown_id, tuple(records), measured, total)
        except ProtocolError as error:
            if error.code == "conversation_not_found":
                raise no_such_chat() from None
            raise

    async def _ended(
        self, question: Question, chat_id: str | None, records: Sequence[Record], measured: Measured
    ) -> int:
        """Note an exchange that is stored, tell who looks at its chat, and give the chat's tokens.

        Still within the turn, so that the exchanges of a chat are told in their order.
        """
        self._figures.exchanged(measured)
        if chat_id is None:
            return measured.tokens
        if question.chat_id is None:
            self._figures.chat_created()
        self._audience.tell(chat_id, records, question.sender)
        self._replicas.changed(self._panel.sessions.owner(question.user), chat_id)
        return await self._totals.add(chat_id, measured.tokens)

    def _turn(self, question: Question, chat_id: str) -> TurnRequest:
        recording = None
        if question.stored:
            recording = Recording(
                self._panel.sessions.owner(question.user),
                chat_id,
                remembered=self._options.context_messages,
                title="" if question.chat_id is None else None,
            )
        return TurnRequest(
            conversation=ConversationRef("", question.user, chat_id),
            text=question.text,
            transport=self._site.plugin,
            storing="nothing",
            recording=recording,
        )
