"""The socket over which the scenario of a live session is changed, and told whenever it was."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, Final

import anyio
from fastapi import APIRouter, WebSocket

from jackfield import ProtocolError, StoreUnavailable
from jackfield.contracts.panel import Panel
from jackfield.contracts.session import Signal, Signals
from jackfield.sockets import JsonSocket, SocketRules, open_socket
from jackfield_transport_speech_assistant.book import Book, Session, session_not_found
from jackfield_transport_speech_assistant.cast import Cast
from jackfield_transport_speech_assistant.live import LiveSessions

PATH: Final = "/update-scenario/{scenario}"
_MAX_ID_CHARS: Final = 128


def _described(error: ProtocolError) -> dict[str, Any]:
    return {"type": "error", "code": error.code, "detail": error.detail}


_RULES: Final = SocketRules(_described)


class Switching:
    """What the route does."""

    def __init__(self, panel: Panel, book: Book, live: LiveSessions, signals: Signals, cast: Cast) -> None:
        self._panel = panel
        self._book = book
        self._live = live
        self._signals = signals
        self._cast = cast

    def add_routes(self, router: APIRouter) -> None:
        """Add the route."""
        router.add_api_websocket_route(PATH, self.serve)

    async def serve(self, websocket: WebSocket) -> None:
        async with open_socket(websocket, self._panel, _RULES) as socket:
            if socket.user is not None:
                await self._panel.limits.check_user(socket.user)
            session = await self._session(websocket, socket)
            async with self._signals.subscribe(session.channel) as told:
                await self._live.switch(session, self._cast.find(websocket.path_params["scenario"]))
                await self._serve(socket, session, told)

    async def _serve(self, socket: JsonSocket, session: Session, told: AsyncIterator[Signal]) -> None:
        """Take requests and tell of switches, until the client leaves or the session is over.

        :raises ProtocolError: 404 `session_not_found` when it is, or for what closes the socket.
        :raises StoreUnavailable: when nothing can be told any more.
        """
        failure: ProtocolError | StoreUnavailable | None = None  # raised below, so that it is in no group

        async def close_after(session_lasts: Callable[[], Awaitable[None]]) -> None:
            nonlocal failure
            try:
                await session_lasts()
                failure = session_not_found()
            except StoreUnavailable as error:
                failure = error
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(close_after, partial(self._report, socket, session, told))
            tasks.start_soon(close_after, partial(self._book.outlast, session))
            try:
                await self._take(socket, session)
            except (ProtocolError, StoreUnavailable) as error:
                failure = error
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _session(self, websocket: WebSocket, socket: JsonSocket) -> Session:
        client = websocket.client.host if websocket.client else ""
        owner = self._panel.sessions.owner(socket.user or self._panel.claimed(client))
        session_id = websocket.query_params.get("session_id")
        if session_id is None:
            return await self._book.newest(owner)
        if len(session_id) > _MAX_ID_CHARS:
            raise session_not_found()
        return await self._book.find(owner, session_id)

    async def _report(self, socket: JsonSocket, session: Session, told: AsyncIterator[Signal]) -> None:
        """Tell of switches, until the session is over."""
        async for signal in told:
            payload = signal.payload
            if "scenario" in payload:
                scenario = payload["scenario"]
                message = {"type": "scenario.updated", "session_id": session.id, "scenario_id": scenario}
                socket.post(message)
            elif "error" in payload:
                socket.post(_described(ProtocolError(404, str(payload["error"]), "It cannot be played.")))
            elif "ended" in payload or "hang_up" in payload:
                return

    async def _take(self, socket: JsonSocket, session: Session) -> None:
        async for message in socket.objects():
            scenario = message.get("scenario_id")
            if message.get("type") != "scenario.update" or not isinstance(scenario, str):
                socket.reject(_invalid())
                continue
            try:
                if socket.user is not None:
                    await self._panel.limits.check_user(socket.user)
                current = await self._book.find(session.user, session.id)
                await self._live.switch(current, self._cast.find(scenario))
            except ProtocolError as error:
                socket.reject(error)


def _invalid() -> ProtocolError:
    return ProtocolError(
        422, "invalid_message", 'Messages are {"type": "scenario.update", "scenario_id": "..."}.'
    )
