"""The WebSocket: requests in, each worked on by a task of its own, and frames out."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio.abc import TaskGroup
from fastapi import WebSocket

from jackfield import ProtocolError, Site, StoreUnavailable
from jackfield.contracts.panel import Panel
from jackfield.errors import FieldError
from jackfield.sockets import JsonSocket, SocketRules, open_socket
from jackfield_transport_pichat import wire
from jackfield_transport_pichat.actions import SEND, Actions
from jackfield_transport_pichat.payloads import invalid
from jackfield_transport_pichat.service import Service, Visitor

if TYPE_CHECKING:
    from jackfield_transport_pichat.options import PichatOptions

_MOST_WAITING_BYTES: Final = 16 * 1024 * 1024
"""Of frames to a client that reads slowly; speech in base64 takes megabytes."""
_MAX_CHARS: Final = 64
"""Of an action's name, and of a client's id of a request."""
_RECORDINGS: Final = 4
"""Recordings of one socket that are worked on or wait at once; they are large."""
_HEAR: Final = "speech_to_text"
_PING: Final = "ping"

_TOO_SLOW: Final[Mapping[str, str]] = {
    SEND: "llm_timeout",
    _HEAR: "stt_failed",
    "text_to_speech": "tts_failed",
}
"""Codes for what took longer than a request may take."""
_NO_STORE: Final = ProtocolError(503, "store_unavailable", "The conversations cannot be reached now.")
_BROKEN: Final = ProtocolError(500, "internal_error", "Something went wrong on the server.")
_BUSY: Final = ProtocolError(
    429, "rate_limited", "Too many requests of this socket wait already.", headers={"Retry-After": "1"}
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Request:
    """What a client wants; `id` is its own, to be given back."""

    action: str
    payload: object
    id: str | None


class SocketEndpoint:
    """The route of the WebSocket."""

    def __init__(self, panel: Panel, service: Service, options: PichatOptions, site: Site) -> None:
        self._panel = panel
        self._service = service
        self._actions = Actions(service)
        self._options = options
        self._site = site
        self._open = panel.metrics.gauge("jackfield_sockets", "WebSockets that are open.", ("transport",))

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one client until it leaves."""
        request_id = self._panel.request_id(websocket)
        rules = SocketRules(
            lambda error: wire.frame("error", wire.error_payload(error, None, request_id)),
            max_frame_bytes=self._options.max_frame_bytes,
            max_waiting_bytes=_MOST_WAITING_BYTES,
        )
        async with open_socket(websocket, self._panel, rules) as socket:
            user = socket.user or self._panel.claimed("default")
            visitor = Visitor(user, self._panel.sessions.owner(user), socket)
            connection = _Connection(self._panel, self._actions, visitor, socket, request_id)
            async with self._service.audience.joined(visitor.owner, socket):
                self._open.inc(self._site.plugin)
                try:
                    await connection.hold(self._options.max_requests)
                finally:
                    self._open.inc(self._site.plugin, by=-1)


class _Connection:
    """One client's requests.

    Those without an id are answered in the order in which they came; those with one as soon as they can be.
    Messages are taken in the order in which they came, whatever they have.
    """

    def __init__(
        self, panel: Panel, actions: Actions, visitor: Visitor, socket: JsonSocket, request_id: str
    ) -> None:
        self._panel = panel
        self._actions = actions
        self._visitor = visitor
        self._socket = socket
        self._request_id = request_id
        self._in_order = anyio.Lock(fast_acquire=True)
        self._taking = anyio.Lock(fast_acquire=True)
        self._recordings = 0
        self._requests = 0

    async def hold(self, max_requests: int) -> None:
        """Answer requests until the client leaves, which ends what is being worked on.

        :raises ProtocolError: when the client sends what closes the socket.
        """
        failure: ProtocolError | None = None
        async with anyio.create_task_group() as tasks:
            try:
                async with aclosing(self._socket.objects()) as found:
                    async for frame in found:
                        self._take(frame, tasks, max_requests)
            except ProtocolError as error:
                failure = error  # raised below: a task group would wrap it
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    def _take(self, frame: dict[str, Any], tasks: TaskGroup, max_requests: int) -> None:
        """Begin to work on a frame, or say why not.

        :raises ProtocolError: when there were too many that were none.
        """
        action, request_id = frame.get("action"), frame.get("request_id")
        if not isinstance(action, str) or not 0 < len(action) <= _MAX_CHARS:
            self._socket.reject(_no_frame("action", "A frame needs an action, a short string."))
        elif request_id is not None and not (isinstance(request_id, str) and len(request_id) <= _MAX_CHARS):
            self._socket.reject(_no_frame("request_id", "request_id must be a string of 64 characters."))
        else:
            request = _Request(action, frame.get("payload"), request_id)
            if self._requests >= max_requests or (action == _HEAR and self._recordings >= _RECORDINGS):
                self._refuse(request, _BUSY)
            else:
                self._requests += 1
                self._recordings += action == _HEAR
                tasks.start_soon(self._serve, request)

    async def _serve(self, request: _Request) -> None:
        try:
            if request.id is None:
                async with self._in_order:
                    await self._answer_in_time(request)
            else:
                await self._answer_in_time(request)
        finally:
            self._requests -= 1
            self._recordings -= request.action == _HEAR

    async def _answer_in_time(self, request: _Request) -> None:
        try:
            with anyio.fail_after(self._panel.settings.request_s):
                await self._answer(request)
        except ProtocolError as error:
            self._refuse(request, error)
        except StoreUnavailable as error:
            logger.warning("a session store cannot be reached: %s", error, exc_info=error.__cause__)
            self._refuse(request, _NO_STORE)
        except TimeoutError:
            code = _TOO_SLOW.get(request.action, "internal_error")
            self._refuse(request, ProtocolError(504, code, "The request took too long."))
        except Exception:  # what answers is plugins, and so somebody else's code
            logger.exception("the request %s failed: %s", self._request_id, request.action)
            self._refuse(request, _BROKEN)

    async def _answer(self, request: _Request) -> None:
        if request.action not in self._actions:
            await self._count()
            raise ProtocolError(404, "unknown_action", f"Unknown action '{request.action}'.")
        if request.payload is not None and not isinstance(request.payload, dict):
            raise invalid(FieldError("payload", "invalid_type", "The payload must be an object."))
        answers = self._actions.answers(request.action, self._visitor, request.payload)
        async with aclosing(answers):
            if request.action == SEND:  # one after the other, until each has its place among the turns
                async with self._taking:
                    await self._count()
                    self._post(request, *await anext(answers))
            elif request.action != _PING:
                await self._count()
            async for action, payload in answers:
                self._post(request, action, payload)

    async def _count(self) -> None:
        await self._panel.limits.check_user(self._visitor.user)

    def _post(self, request: _Request, action: str, payload: wire.Json) -> None:
        self._socket.post(wire.frame(action, payload, request.id))

    def _refuse(self, request: _Request, error: ProtocolError) -> None:
        payload = wire.error_payload(error, request.action, self._request_id)
        self._socket.post(wire.frame("error", payload, request.id))


def _no_frame(field: str, detail: str) -> ProtocolError:
    return ProtocolError(422, "invalid_frame", detail, (FieldError(field, "invalid", detail),))
