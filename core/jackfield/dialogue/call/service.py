"""Calls: opened, counted, limited, told of."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio

from jackfield.assembly import Assembly
from jackfield.contracts.call import Call, CallLeg, CallRequest
from jackfield.contracts.extension import CallEnded, CallStarted, Event
from jackfield.contracts.panel import Metrics
from jackfield.dialogue.call.call import LiveCall
from jackfield.dialogue.call.factory import CallFactory
from jackfield.dialogue.call.speech_model import SpeechModel
from jackfield.dialogue.order import TurnOrder
from jackfield.dialogue.scenarios import ScenarioTable
from jackfield.dialogue.sessions import LOGGED_KEY_CHARS, SessionService
from jackfield.errors import ProtocolError
from jackfield.traceparent import traceparent

logger = logging.getLogger(__name__)


class CallService:
    """Opens calls with the providers of an assembly. Implements `contracts.call.Calls`.

    `order` is that of the assistant, so that typed and spoken turns of a conversation come one at a time.
    """

    def __init__(
        self,
        assembly: Assembly,
        *,
        sessions: SessionService,
        scenarios: ScenarioTable,
        order: TurnOrder,
        metrics: Metrics,
        publish: Callable[[Event], None],
    ) -> None:
        self._max_calls = assembly.config.call.max_calls
        self._sessions = sessions
        self._publish = publish
        self._calls: set[LiveCall] = set()
        self._stopping = False
        self._all_left: anyio.Event | None = None
        self._gauge = metrics.gauge("jackfield_calls", "Calls that are held now.", ["transport"])
        self._total = metrics.counter(
            "jackfield_calls_ended_total", "Calls that have ended.", ["transport", "reason"]
        )
        self._factory = CallFactory(
            assembly,
            sessions=sessions,
            scenarios=scenarios,
            order=order,
            metrics=metrics,
            publish=publish,
        )

    @asynccontextmanager
    async def open(self, request: CallRequest, leg: CallLeg) -> AsyncIterator[Call]:
        """Open a call; see `contracts.call.Calls.open`."""
        self.admit()
        with self.hold(self._factory.make(request, leg), request) as call:
            yield call

    def admit(self) -> None:
        """Raise if no call may begin now: 503 `server_stopping`, `too_many_calls`."""
        if self._stopping:
            raise ProtocolError(503, "server_stopping", "The server is stopping; try again later.")
        if len(self._calls) >= self._max_calls:
            raise ProtocolError(503, "too_many_calls", "Too many calls at once; try again later.")

    def make_forwarded(self, request: CallRequest) -> tuple[LiveCall, SpeechModel]:
        """Put a call together whose sound goes past the server; see `CallFactory.make_forwarded`."""
        return self._factory.make_forwarded(request)

    @contextmanager
    def hold(self, call: LiveCall, request: CallRequest) -> Iterator[Call]:
        """Count a call and tell of it, from its beginning to its end."""
        began_s = asyncio.get_running_loop().time()
        self._calls.add(call)
        self._began(call, request)
        try:
            yield call
        finally:
            call.close()
            self._calls.discard(call)
            self._ended(call, request, asyncio.get_running_loop().time() - began_s)
            if self._all_left is not None and not self._calls:
                self._all_left.set()

    async def check(self, request: CallRequest) -> None:
        """Find out whether a call could be answered; see `contracts.call.Calls.check`."""
        await self._factory.check(request)

    async def shut_down(self) -> None:
        """End every call because the server stops, and wait until the doors have left them.

        Calls are refused from now on.
        """
        self._stopping = True
        for call in list(self._calls):
            call.hang_up("shutdown")
        if self._calls:
            self._all_left = anyio.Event()
            await self._all_left.wait()

    def _began(self, call: LiveCall, request: CallRequest) -> None:
        self._gauge.inc(request.transport)
        session = self._sessions.key(request.conversation)
        self._publish(CallStarted(request.transport, session, call.name, traceparent.get()))

    def _ended(self, call: LiveCall, request: CallRequest, seconds: float) -> None:
        transport, session = request.transport, self._sessions.key(request.conversation)
        reason = call.reason or "hung_up"
        self._gauge.inc(transport, by=-1)
        self._total.inc(transport, reason)
        self._publish(CallEnded(transport, session, call.name, reason, seconds))
        logger.info(
            "call %s ended after %.1f s (%s), %s, %s",
            call.name,
            seconds,
            reason,
            session[:LOGGED_KEY_CHARS],
            transport,
        )
