"""The data channel of a call, where the browser opened one: events go out, and commands come in."""

from __future__ import annotations

import logging
import weakref
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Annotated, Final

import anyio
from aiortc import RTCDataChannel, RTCSctpTransport
from aiortc.exceptions import InvalidStateError
from pydantic import Field, TypeAdapter
from starlette.types import Message

from jackfield.contracts.call import Call, CallEvent, ReplyText
from jackfield.errors import ProtocolError, StoreUnavailable
from jackfield.web import call_commands
from jackfield.web.call_commands import message_text, read_message
from jackfield.web.call_messages import CallMessage, error_message, message_of
from jackfield.web.outbox import Outbox

logger = logging.getLogger(__name__)

MAX_MESSAGE_CHARS: Final = 65_536
MAX_TEXT_CHARS: Final = 4_096
MAX_BAD_MESSAGES: Final = 50
"""So many in a row, and the call ends."""
_MAX_TEXTS: Final = 16
"""Typed messages that wait until they were counted."""
_MAX_WAITING_BYTES: Final = 262_144
"""What may wait for a browser that does not take it; with more, it is told nothing further."""

_RECEIVE: Final = "_data_channel_receive"

_NO_STORE: Final = ProtocolError(503, "store_unavailable", "The message cannot be taken now.")

Command = (
    call_commands.SpeechStart
    | call_commands.SpeechEnd
    | call_commands.Interrupt
    | call_commands.Text
    | call_commands.Mute
    | call_commands.Stop
)
_READER: Final[TypeAdapter[Command]] = TypeAdapter(Annotated[Command, Field(discriminator="type")])


class EventChannel:
    """Tells what happens, once `attach` gave it a channel, and before that keeps it for a channel to come.

    `call` is to be set before a channel is attached.
    """

    call: Call

    def __init__(self, session_id: str, check: Callable[[], Awaitable[None]] | None = None) -> None:
        """`check` counts a typed message, and raises ProtocolError for one too many."""
        self._session_id = session_id
        self._check = check
        self._texts: deque[str] = deque()
        self._typed = anyio.Event()
        self._channel: RTCDataChannel | None = None
        self.expected = False
        """Whether the browser means to open a channel."""
        self._attached = anyio.Event()
        self._outbox = Outbox(_MAX_WAITING_BYTES, self._give_up)
        self._bad_messages = 0

    def attach(self, channel: RTCDataChannel) -> None:
        """Use this channel; later ones are ignored."""
        if self._channel is None:
            self._channel = channel
            channel.on("message", self._obey)
            self._attached.set()

    def tell(self, event: CallEvent) -> None:
        """Send what tells of an event."""
        if isinstance(event, ReplyText):
            self._outbox.put_words(event.item, event.text)
        else:
            self._outbox.put(message_of(event, self._session_id))

    def say(self, message: CallMessage) -> None:
        """Send a message."""
        self._outbox.put(message)

    def close(self) -> None:
        """Let go of the channel: nothing is sent or obeyed any more. May be called twice."""
        if self._channel is not None:
            self._channel.remove_all_listeners()
            self._channel = None

    def finish(self) -> None:
        """Nothing more is to be told."""
        self._outbox.finish()

    async def sent(self) -> None:
        """Wait until everything was sent; at once where no channel will come."""
        if self.expected:
            await self._outbox.finished.wait()

    async def take_texts(self) -> None:
        """Give the call what is typed, in its order, until cancelled."""
        while True:
            while self._texts:
                await self._take(self._texts.popleft())
            self._typed = anyio.Event()
            await self._typed.wait()

    async def run(self) -> None:
        """Send until `finish`, or until the channel is closed."""
        await self._attached.wait()
        try:
            await self._outbox.run(self._send)
        except InvalidStateError:  # the browser closed it
            self._outbox.finished.set()

    async def _send(self, message: Message) -> None:
        channel = self._channel
        if channel is None or channel.bufferedAmount > _MAX_WAITING_BYTES:
            raise InvalidStateError
        channel.send(message["text"])

    def _give_up(self) -> None:
        logger.info("a browser does not take what it is told of its call; session_id=%s", self._session_id)

    def _obey(self, message: str | bytes) -> None:
        try:
            if isinstance(message, bytes) or len(message) > MAX_MESSAGE_CHARS:
                raise ProtocolError(422, "invalid_message", "A message is JSON text, of bounded length.")
            self._do(read_message(_READER, message))
        except ProtocolError as error:
            self._bad_messages += 1
            self._refuse(error)
            if self._bad_messages == MAX_BAD_MESSAGES:
                self.call.hang_up()
        else:
            self._bad_messages = 0

    def _refuse(self, error: ProtocolError) -> None:
        self.say(error_message(error, self._session_id, fatal=False))

    def _type(self, text: str) -> None:
        if len(self._texts) == _MAX_TEXTS:
            raise ProtocolError(429, "session_busy", "Too many messages wait.")
        self._texts.append(text)
        self._typed.set()

    async def _take(self, text: str) -> None:
        try:
            if self._check is not None:
                await self._check()
        except ProtocolError as error:
            self._refuse(error)
        except StoreUnavailable as error:
            logger.warning("a typed message was refused: %s", error)
            self._refuse(_NO_STORE)
        else:
            self.call.text(text)

    def _do(self, command: Command) -> None:
        match command:
            case call_commands.SpeechStart():
                self.call.begin_speech()
            case call_commands.SpeechEnd():
                self.call.end_speech()
            case call_commands.Interrupt():
                self.call.interrupt()
            case call_commands.Text():
                self._type(message_text(command, MAX_TEXT_CHARS))
            case call_commands.Mute(on=on):
                self.call.mute(on=on)
            case call_commands.Stop():
                self.call.hang_up()


def drop_broken_texts(transport: RTCSctpTransport) -> None:
    """Have texts dropped that are no UTF-8, by which aiortc would break the connection and fill the log.

    :raises AttributeError: when this aiortc does not receive as it did.
    """
    receive, transport_itself = getattr(type(transport), _RECEIVE), weakref.proxy(transport)

    async def receive_text(stream: int, kind: int, data: bytes) -> None:
        try:
            await receive(transport_itself, stream, kind, data)
        except UnicodeDecodeError:
            logger.debug("a message of a data channel is no UTF-8")

    setattr(transport, _RECEIVE, receive_text)
