"""The WebSocket of a user: messages as frames, their answers, and those of the user's posted messages."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup
from starlette.websockets import WebSocket  # not for checking types alone: FastAPI reads it

from jackfield import ProtocolError, Site, StoreUnavailable
from jackfield.contracts.auth import UserId
from jackfield.contracts.panel import Panel
from jackfield.sockets import JsonSocket, SocketRules, encoded, open_socket
from jackfield.web.admission import named_user
from jackfield.web.chat_form import parse_user_id
from jackfield.web.form import Form, Part
from jackfield_transport_smart_proxy.answers import Answer
from jackfield_transport_smart_proxy.asked import Asked, way_of
from jackfield_transport_smart_proxy.frames import (
    Frame,
    FrameError,
    answered,
    described,
    parse,
    refused,
)

_MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
_MAX_WAITING: Final = 8
"""Messages of one socket that may wait or be answered at a time."""
_MAX_USER_ID_BYTES: Final = 4096

_BUSY: Final = ProtocolError(429, "session_busy", "Too many messages wait for their answers.")
_INTERNAL: Final = ProtocolError(500, "internal_error", "Something went wrong on the server.")
_NO_STORE: Final = ProtocolError(503, "store_unavailable", "The conversation cannot be reached now.")

Answering = Callable[[Asked], Awaitable[Answer]]
Checking = Callable[[WebSocket, Form, UserId], Asked]
Admitting = Callable[[WebSocket, Asked], Awaitable[None]]


_Waiting = tuple[Asked, str | None]
"""A message and the id of its frame."""


class Crowd:
    """The open sockets of this server, by user."""

    def __init__(self, max_sockets_per_user: int) -> None:
        self._most = max_sockets_per_user
        self._sockets: dict[UserId, set[JsonSocket]] = {}

    @contextmanager
    def joined(self, user: UserId, socket: JsonSocket) -> Iterator[None]:
        """A user has one more socket inside.

        :raises ProtocolError: 429 when there are too many.
        """
        sockets = self._sockets.setdefault(user, set())
        if len(sockets) >= self._most:
            raise _crowded()
        sockets.add(socket)
        try:
            yield
        finally:
            sockets.discard(socket)
            if not sockets:
                del self._sockets[user]

    def post(self, user: UserId, frame: Mapping[str, Any]) -> None:
        """Send something to all sockets of a user."""
        sockets = self._sockets.get(user)
        if sockets:
            text = encoded(frame)
            for socket in sockets:
                socket.post_text(text)


class Live:
    """Serves the WebSockets.

    `check` makes a message of a form, `admit` counts it, and both raise ProtocolError to refuse it.
    """

    def __init__(
        self,
        panel: Panel,
        site: Site,
        crowd: Crowd,
        max_bytes: Mapping[str, int],
        check: Checking,
        admit: Admitting,
        answer: Answering,
    ) -> None:
        self._panel = panel
        self._crowd = crowd
        self._rules = SocketRules(described, max_frame_bytes=_MAX_FRAME_BYTES)
        self.site: Final = site
        self.max_bytes: Final = max_bytes
        self.check: Final = check
        self.admit: Final = admit
        self.answer: Final = answer

    async def serve(self, websocket: WebSocket) -> None:
        """Answer a socket's messages until it closes."""
        async with open_socket(websocket, self._panel, self._rules) as socket:
            way_of(websocket, self._panel)
            part = Part(_MAX_USER_ID_BYTES)
            part.add(websocket.path_params["user_id"].encode("utf-8", "ignore"))
            user_id = parse_user_id({"userId": part})
            user = await named_user(self._panel, user_id, socket.user)
            with self._crowd.joined(user, socket):
                await _Talk(self, websocket, socket, user, user_id).run()


class _Talk:
    """One socket. Messages of one session are answered one after the other, those of others meanwhile."""

    def __init__(
        self, live: Live, websocket: WebSocket, socket: JsonSocket, user: UserId, user_id: str
    ) -> None:
        self._live = live
        self._websocket = websocket
        self._socket = socket
        self._user = user
        self._user_id = user_id
        self._lanes: dict[str, deque[_Waiting]] = {}
        self._waiting = 0

    async def run(self) -> None:
        """Answer until the client leaves; what is not answered then is given up.

        :raises ProtocolError: when the client sends what closes the socket.
        """
        failure: ProtocolError | None = None
        async with anyio.create_task_group() as tasks, aclosing(self._socket.objects()) as frames:
            try:
                async for frame in frames:
                    self._take(frame, tasks)
            except ProtocolError as error:  # raised below, so that it does not arrive in a group
                failure = error
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    def _take(self, said: Mapping[str, Any], tasks: TaskGroup) -> None:
        if said.get("type") == "ping":
            self._socket.post({"type": "pong"})
            return
        try:
            frame = parse(said, self._user_id, self._live.max_bytes)
            asked = self._checked(frame)
        except FrameError as error:
            self._socket.reject(error)
            return
        if self._waiting >= _MAX_WAITING:
            self._socket.post(described(_BUSY, frame.id))
            return
        self._waiting += 1
        session = asked.conversation.session
        lane = self._lanes.get(session)
        if lane is not None:
            lane.append((asked, frame.id))
        else:
            self._lanes[session] = deque([(asked, frame.id)])
            tasks.start_soon(self._drain, session)

    def _checked(self, frame: Frame) -> Asked:
        try:
            return self._live.check(self._websocket, frame.form, self._user)
        except ProtocolError as error:
            raise refused(error, frame.id) from error

    async def _drain(self, session: str) -> None:
        lane = self._lanes[session]
        while lane:
            await self._answer(*lane[0])
            lane.popleft()
            self._waiting -= 1
        del self._lanes[session]

    async def _answer(self, asked: Asked, frame_id: str | None) -> None:
        try:
            await self._live.admit(self._websocket, asked)
            answer = await self._live.answer(asked)
        except ProtocolError as error:
            self._socket.post(described(error, frame_id))
        except StoreUnavailable as error:
            self._live.site.logger.warning("a session store cannot be reached: %s", error)
            self._socket.post(described(_NO_STORE, frame_id))
        except Exception:  # providers are somebody else's code
            self._live.site.logger.exception("answering a message failed")
            self._socket.post(described(_INTERNAL, frame_id))
        else:
            self._socket.post(answered(answer, asked.conversation.session, frame_id))


def _crowded() -> ProtocolError:
    return ProtocolError(429, "too_many_sockets", "This user has too many connections.")
