"""A socket of a chat page, from its first frame to its last."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
from starlette.websockets import WebSocket

from jackfield import ProtocolError, Site, StoreUnavailable
from jackfield.contracts.auth import UserId
from jackfield.contracts.panel import Panel
from jackfield.sockets import JsonSocket, SocketRules, encoded, open_socket
from jackfield_transport_chat_app import events
from jackfield_transport_chat_app.admission import Admission
from jackfield_transport_chat_app.audience import Audience, Member
from jackfield_transport_chat_app.chats import Chats
from jackfield_transport_chat_app.exchange import Answered, Exchanges, Question
from jackfield_transport_chat_app.fields import (
    BadFrame,
    GetHistory,
    Ping,
    UserMessage,
    no_such_chat,
    parse_frame,
)
from jackfield_transport_chat_app.figures import Figures
from jackfield_transport_chat_app.replicas import Replicas

if TYPE_CHECKING:
    from jackfield_transport_chat_app import ChatAppOptions


@dataclass(frozen=True, slots=True)
class Services:
    """What the sockets and the routes of a door share."""

    panel: Panel
    options: ChatAppOptions
    site: Site
    chats: Chats
    audience: Audience
    replicas: Replicas
    figures: Figures
    exchanges: Exchanges
    admission: Admission


class SocketRoute:
    """The route `/ws/chat`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        options = services.options
        self._rules = SocketRules(
            describe, max_frame_bytes=options.max_frame_bytes, max_bad_frames=options.max_bad_frames
        )

    async def serve(self, websocket: WebSocket) -> None:
        """Hold a connection."""
        services = self._services
        try:
            async with open_socket(websocket, services.panel, self._rules) as socket:
                user = socket.user or services.admission.anonymous()
                owner = services.panel.sessions.owner(user)
                with services.figures.connection():
                    async with services.replicas.heard(owner):
                        await Connection(services, websocket, socket, user).hold()
        except (ProtocolError, StoreUnavailable):
            services.figures.error()
            raise


def describe(error: ProtocolError) -> Mapping[str, Any]:
    """An error as an event."""
    return events.error_event(error, error.id if isinstance(error, BadFrame) else None)


class Connection:
    """Takes frames as they come, and answers messages one after the other."""

    def __init__(self, services: Services, websocket: WebSocket, socket: JsonSocket, user: UserId) -> None:
        self._services = services
        self._websocket = websocket
        self._socket = socket
        self._user = user
        self._member = Member(socket, services.panel.sessions.owner(user))
        self._unanswered = 0
        most = services.options.max_unanswered
        self._send, self._receive = anyio.create_memory_object_stream[tuple[UserMessage, float]](most)

    async def hold(self) -> None:
        """Talk until the client leaves.

        :raises ProtocolError: when it sends what closes the socket.
        """
        failure: Exception | None = None
        with self._send, self._receive:
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._answer_all)
                    try:
                        await self._join_asked()
                        async with aclosing(self._socket.objects()) as frames:
                            async for found in frames:
                                await self._take(found)
                    except Exception as error:  # noqa: BLE001  # raised below: a group would wrap it
                        failure = error
                    tasks.cancel_scope.cancel()
            finally:  # not before: an answer that came in between enters the chat again
                self._services.audience.leave(self._member)
        if failure is not None:
            raise failure

    async def _join_asked(self) -> None:
        """Show the chat that the address names."""
        chat_id = self._websocket.query_params.get("chat_id")
        if chat_id is not None:
            await self._safely(None, self._join, chat_id)

    async def _join(self, chat_id: str) -> None:
        await self._services.chats.get(self._member.owner, chat_id)
        await self._services.audience.enter(self._member, chat_id)
        await self._show(chat_id)

    async def _show(self, chat_id: str) -> None:
        services = self._services
        with self._member.reading():
            limit = services.options.history_messages
            page = await services.chats.history(self._member.owner, chat_id, limit=limit)
            event = events.chat_history(chat_id, page.items, append=False)
            self._member.show(event, [record.id for record in page.items])

    async def _take(self, found: Mapping[str, Any]) -> None:
        received_s = time.perf_counter()
        try:
            frame = parse_frame(found, self._services.options.max_message_chars)
        except BadFrame as error:
            self._services.figures.event_error(error.code)
            self._socket.reject(error)
            return
        match frame:
            case Ping():
                self._socket.post(events.answering({"event": "pong"}, frame.id))
            case GetHistory():
                await self._safely(frame.id, self._show_asked, frame)
            case UserMessage():
                await self._safely(frame.id, self._queue, frame, received_s)

    async def _show_asked(self, frame: GetHistory) -> None:
        await self._services.admission.message(self._websocket, self._user)
        chat_id = frame.chat_id or self._member.chat_id
        if chat_id is None:
            raise no_such_chat()
        await self._show(chat_id)

    async def _queue(self, message: UserMessage, received_s: float) -> None:
        if self._unanswered >= self._services.options.max_unanswered:
            raise _busy()
        await self._services.admission.message(self._websocket, self._user)
        self._unanswered += 1
        self._send.send_nowait((message, received_s))

    async def _answer_all(self) -> None:
        async for message, received_s in self._receive:
            try:
                await self._safely(message.id, self._answer_in_time, message, received_s)
            finally:
                self._unanswered -= 1

    async def _answer_in_time(self, message: UserMessage, received_s: float) -> None:
        with anyio.move_on_after(self._services.panel.settings.request_s) as scope:
            await self._answer(message, received_s)
        if scope.cancelled_caught:
            raise events.too_slow()

    async def _answer(self, message: UserMessage, received_s: float) -> None:
        chat_id = await self._chat_of(message)
        question = Question(self._user, message.text, received_s, chat_id, sender=self._member)
        try:
            async with aclosing(self._services.exchanges.answer(question)) as outputs:
                async for output in outputs:
                    if isinstance(output, Answered):
                        self._close_exchange(message, output)
                    elif message.stream:
                        self._post(events.delta(output.text, output.chat_id), message)
        except ProtocolError as error:
            if error.code == "chat_not_found":  # deleted meanwhile: the next message may begin a new one
                self._services.audience.leave(self._member)
            raise

    async def _chat_of(self, message: UserMessage) -> str | None:
        """The chat that a message goes to, which the socket is then on; None for a new one."""
        services, member = self._services, self._member
        if message.chat_id is not None and message.chat_id != member.chat_id:
            await services.chats.get(member.owner, message.chat_id)
            await services.audience.enter(member, message.chat_id)
        return member.chat_id

    def _close_exchange(self, message: UserMessage, answered: Answered) -> None:
        chat_id = answered.chat_id or ""
        if self._member.chat_id != chat_id:
            self._services.audience.enter_new(self._member, chat_id, answered.records)
        self._post(events.ai_response(answered.text, chat_id), message)
        self._post(events.backend_status(answered.measured, answered.tokens_total, chat_id), message)
        if self._services.options.history_after_turn:
            record_ids = frozenset(record.id for record in answered.records)
            self._member.append(
                record_ids, encoded(events.chat_history(chat_id, answered.records, append=True))
            )

    def _post(self, event: events.Json, message: UserMessage) -> None:
        self._socket.post(events.answering(event, message.id))

    async def _safely(
        self,
        id: str | None,  # noqa: A002  # the field's name
        act: Callable[..., Awaitable[None]],
        *arguments: object,
    ) -> None:
        """Do something for a frame; what goes wrong is told, and the socket stays open."""
        try:
            await act(*arguments)
        except ProtocolError as error:
            self._refuse(error, id)
        except StoreUnavailable as error:
            self._services.site.logger.warning("a chat cannot be reached: %s", error)
            self._refuse(events.STORE_UNAVAILABLE, id)
        except Exception:
            self._services.site.logger.exception("a frame of a chat page failed")
            self._refuse(events.INTERNAL_ERROR, id)

    def _refuse(self, error: ProtocolError, id: str | None) -> None:  # noqa: A002  # the field's name
        event = events.error_event(error, id)
        self._services.figures.event_error(event["code"])
        self._socket.post(event)


def _busy() -> ProtocolError:
    return ProtocolError(429, "busy", "Too many messages of this socket wait for their answers.")
