"""Sessions whose calls run in this process: they obey every replica, and tell all of what they do."""

from __future__ import annotations

import gc
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Protocol

import anyio
from anyio.abc import TaskGroup, TaskStatus

from jackfield.contracts.call import Call, CallRequest
from jackfield.contracts.panel import Panel
from jackfield.contracts.session import Signals
from jackfield.errors import ProtocolError, StoreUnavailable
from jackfield_transport_speech_assistant.book import Book, Session, session_not_found
from jackfield_transport_speech_assistant.cast import Cast
from jackfield_transport_speech_assistant.peer import Ending, Peer
from jackfield_transport_speech_assistant.reception import HEARING_HZ

logger = logging.getLogger(__name__)

_RENEW_S: Final = 10.0
_RETRY_S: Final = 1.0
_CLOSE_S: Final = 5.0
_COLLECT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Joined:
    """The answer to an offer. `hears` says whether the browser sends sound."""

    answer: str
    hears: bool


class Holding(Protocol):
    """What holds a session, its call and all."""

    async def __call__(self, *, task_status: TaskStatus[Joined]) -> None:
        """Say when the offer is answered, and return when the session is over."""
        ...


@dataclass(slots=True)
class _Held:
    """A session as it is now, and its call."""

    session: Session
    call: Call
    hang_up: Callable[[], None]
    ending: Ending = "shutdown"


class LiveSessions:
    """Calls in this process, each in a task of its own. `run` is to be running."""

    def __init__(self, panel: Panel, book: Book, signals: Signals, cast: Cast) -> None:
        self._panel = panel
        self._book = book
        self._signals = signals
        self._cast = cast
        self._tasks: TaskGroup | None = None
        self._beginnings: set[anyio.CancelScope] = set()
        """Offers that are being answered. Until one is, its task is whoever asks' and not of `_tasks`."""
        self._ended = False
        """Whether a peer was closed since garbage was collected."""

    async def run(self) -> None:
        """Hold calls until cancelled, which ends them."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            try:
                while True:
                    await anyio.sleep(_COLLECT_S)
                    self._collect()
            finally:
                self._tasks = None
                for beginning in self._beginnings:
                    beginning.cancel()

    def _collect(self) -> None:
        """Free what ended calls have left, which holds itself: tasks and the tracebacks of their ends.

        By itself the garbage collector waits until a quarter of all that is old is garbage, and each
        connection keeps memory that is not Python's.
        """
        if self._ended:
            self._ended = False
            gc.collect()

    async def join(self, session: Session, request: CallRequest, peer: Peer, offer: str) -> Joined:
        """Answer an offer, and hold the session's call from then on. The peer is closed in any case.

        :raises ProtocolError: 422 `invalid_sdp`, 503 `server_stopping`, and whatever `Calls.open` raises.
        """
        try:
            return await self.begin(partial(self._hold_peer, session, request, peer, offer))
        except BaseException:
            await peer.close()  # what was to hold it may not have come to run
            raise

    async def begin(self, hold: Holding) -> Joined:
        """Have a session held in a task of its own; gives what that begins with.

        :raises ProtocolError: 503 `server_stopping`; and whatever `hold` raises before it has begun.
        """
        if self._tasks is not None:
            with anyio.CancelScope() as beginning:
                self._beginnings.add(beginning)
                try:
                    joined: Joined = await self._tasks.start(hold)
                    return joined
                finally:
                    self._beginnings.discard(beginning)
        raise ProtocolError(503, "server_stopping", "The server is stopping; try again later.")

    async def switch(self, session: Session, scenario: str) -> None:
        """Ask for another scenario, wherever the call is; its channel tells what comes of it."""
        asked = {"switch": scenario}
        if not session.joined:
            await self._book.rewrite(replace(session, scenario=scenario))
            asked["scenario"] = scenario  # so it is told, whether it has been joined meanwhile or not
        await self._signals.publish(session.channel, asked)

    async def end(self, session: Session) -> None:
        """End a session, wherever its call is."""
        await self._book.close(session)
        await self._signals.publish(session.channel, {"hang_up": True})

    async def _hold_peer(
        self,
        session: Session,
        request: CallRequest,
        peer: Peer,
        offer: str,
        *,
        task_status: TaskStatus[Joined],
    ) -> None:
        begun = False
        try:
            answer = await peer.answer(offer)
            request = replace(
                request,
                rate_hz=HEARING_HZ,
                listens=peer.hears,
                speaks=peer.speaks,
                turns="auto" if peer.hears else "explicit",
            )
            async with self._panel.calls.open(request, peer.leg) as call:
                peer.leg.call = call  # it may be hung up before anybody talks

                def ready() -> None:
                    nonlocal begun
                    begun = True
                    task_status.started(Joined(answer, peer.hears))

                await self.hold(session, call, lambda: peer.talk(call, ready), hang_up=peer.hang_up)
        except Exception:
            if not begun:  # then whoever sent the offer is told
                raise
            logger.exception("a session broke; session_id=%s", session.id)
        finally:
            await peer.close()
            self._ended = True

    async def hold(
        self,
        session: Session,
        call: Call,
        talk: Callable[[], Awaitable[Ending]],
        *,
        hang_up: Callable[[], None] | None = None,
    ) -> None:
        """Hold a joined session while `talk` holds its call; it is closed in the end.

        `hang_up` ends `talk` where hanging up the call is not enough.

        :raises ProtocolError: 404 `session_not_found` when it was ended meanwhile.
        """
        held = _Held(session, call, hang_up or call.hang_up)
        try:
            await self._hold(held, talk)
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(_CLOSE_S):
                await self._over(held)

    async def _hold(self, held: _Held, talk: Callable[[], Awaitable[Ending]]) -> None:
        failure: ProtocolError | StoreUnavailable | None = None
        async with anyio.create_task_group() as tasks:
            await tasks.start(self._obey, held)
            try:
                await self._own(held)
            except (ProtocolError, StoreUnavailable) as error:  # raised below, so that it is in no group
                failure = error
            else:
                tasks.start_soon(self._renew, held)
                held.ending = await talk()
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _own(self, held: _Held) -> None:
        """Own a session as it is by now: it may play another scenario since its offer came."""
        session = await self._book.join(held.session)
        if session is None:
            raise session_not_found()
        if session.scenario != held.session.scenario:
            held.call.switch(self._cast.played(session.scenario))
        held.session = session

    async def _obey(self, held: _Held, *, task_status: TaskStatus[None]) -> None:
        """Do what other replicas ask."""
        told = False
        while True:
            try:
                async with self._signals.subscribe(held.session.channel) as asked:
                    if not told:
                        task_status.started()
                    told = True
                    async for signal in asked:
                        await self._do(held, signal.payload)
            except StoreUnavailable as error:
                logger.warning("what is asked of a session cannot be heard: %s", error)
            if not told:
                task_status.started()
            told = True
            await anyio.sleep(_RETRY_S)

    async def _renew(self, held: _Held) -> None:
        while True:
            await anyio.sleep(_RENEW_S)
            try:
                if not await self._book.keep(held.session):
                    held.hang_up()  # it was ended, and the signal was lost
            except StoreUnavailable as error:
                logger.warning("a session cannot be kept in the store: %s", error)

    async def _do(self, held: _Held, asked: Mapping[str, Any]) -> None:
        if asked.get("hang_up"):
            held.hang_up()
        elif isinstance(scenario := asked.get("switch"), str):
            await self._switch(held, scenario, told="scenario" in asked)

    async def _switch(self, held: _Held, scenario: str, *, told: bool) -> None:
        session = held.session
        if told and scenario == session.scenario:
            return
        try:
            held.call.switch(self._cast.played(scenario))
        except ProtocolError as error:  # of a replica with another configuration file
            await self._signals.publish(session.channel, {"error": error.code})
            return
        held.session = replace(session, scenario=scenario)
        logger.info("session switched; session_id=%s scenario=%s", session.id, scenario)
        await self._book.keep(held.session)
        if not told:
            await self._signals.publish(session.channel, {"scenario": scenario})

    async def _over(self, held: _Held) -> None:
        session, reason = held.session, held.ending
        logger.info("session ended; session_id=%s reason=%s", session.id, reason)
        try:
            await self._book.close(session)
            await self._signals.publish(session.channel, {"ended": reason})
        except StoreUnavailable as error:
            logger.warning("a session that ended cannot be told of: %s", error)
