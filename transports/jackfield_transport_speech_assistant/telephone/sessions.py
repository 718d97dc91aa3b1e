"""Sessions of users whose calls come over the telephone: those that the server calls for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from jackfield.contracts.auth import UserId
from jackfield.contracts.call import Call, CallRequest, EndReason
from jackfield.contracts.panel import Panel
from jackfield_transport_speech_assistant.book import Book
from jackfield_transport_speech_assistant.cast import Cast
from jackfield_transport_speech_assistant.live import LiveSessions
from jackfield_transport_speech_assistant.telephone.admission import Party
from jackfield_transport_speech_assistant.telephone.media_stream import Talk


@dataclass(frozen=True, slots=True)
class PhoneSessions:
    """They count like a browser's, and can be switched and ended like one."""

    panel: Panel
    book: Book
    live: LiveSessions

    @asynccontextmanager
    async def making(self, user: UserId, scenario: str, *, ttl_s: float) -> AsyncIterator[Party]:
        """Make a session for a call that has to begin within `ttl_s` seconds; see `Book.making`.

        :raises ProtocolError: 429 `too_many_sessions`.
        """
        owner = self.panel.sessions.owner(user)
        async with self.book.making(owner, scenario, offer_s=ttl_s) as (session, secret):
            yield Party(user, session.id, secret)

    async def hold(self, party: Party, request: CallRequest, call: Call, talk: Talk) -> EndReason:
        """Hold a call that has begun, in the scenario that its session has come to while it rang.

        :raises ProtocolError: 404 `session_not_found` when it was ended meanwhile, 409 when it has begun.
        """
        session = await self.book.find(self.panel.sessions.owner(party.user), party.session)
        session = await self.book.admit(session, party.secret)
        scenario = Cast(self.panel.scenarios).played(session.scenario)
        if scenario != request.scenario:
            call.switch(scenario)
        reason: EndReason = "hung_up"

        async def noting() -> EndReason:
            nonlocal reason
            reason = await talk()
            return reason

        await self.live.hold(session, call, noting)
        return reason
