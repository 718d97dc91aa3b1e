"""Sessions whose sound goes between the browser and the speech-to-speech model, past this server."""

from __future__ import annotations

import logging
from functools import partial

from anyio.abc import TaskStatus

from jackfield.contracts.call import CallRequest
from jackfield.contracts.panel import Panel
from jackfield_transport_speech_assistant.book import Session
from jackfield_transport_speech_assistant.live import Joined, LiveSessions
from jackfield_transport_speech_assistant.offer import look_at
from jackfield_transport_speech_assistant.peer import Ending
from jackfield_transport_speech_assistant.provider_errors import refusals

logger = logging.getLogger(__name__)


class PassThrough:
    """Has the model answer offers, and holds what is left of their calls."""

    def __init__(self, panel: Panel, live: LiveSessions) -> None:
        self._panel = panel
        self._live = live

    async def join(self, session: Session, request: CallRequest, offer: str) -> Joined:
        """Have an offer answered, and hold the session's call from then on.

        :raises ProtocolError: 422 `invalid_sdp`, 503 `server_stopping`, `too_many_calls`; 502
            `provider_failed`, 503 `provider_rate_limited`, 504 `provider_timeout`.
        """
        found = look_at(offer)
        with refusals():
            return await self._live.begin(partial(self._hold, session, request, offer, hears=found.hears))

    async def _hold(
        self,
        session: Session,
        request: CallRequest,
        offer: str,
        *,
        hears: bool,
        task_status: TaskStatus[Joined],
    ) -> None:
        begun = False
        try:
            async with self._panel.forwarding.open(request, offer) as forwarded:

                async def talk() -> Ending:
                    nonlocal begun
                    begun = True
                    task_status.started(Joined(forwarded.answer, hears))
                    return await forwarded.call.run()

                await self._live.hold(session, forwarded.call, talk)
        except Exception:
            if not begun:  # then whoever sent the offer is told
                raise
            logger.exception("a session broke; session_id=%s", session.id)
