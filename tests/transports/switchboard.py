"""A voice socket in front of a call that the test itself plays, and a client at the other end."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from types import UnionType
from typing import (
    Any,
    Final,
    NotRequired,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

import anyio
from fastapi import APIRouter
from pydantic import ConfigDict, TypeAdapter, create_model
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin, Subprotocol

from jackfield import ProtocolError
from jackfield.assembly import Built, Door
from jackfield.contracts.auth import Auth
from jackfield.contracts.call import CallLeg, CallRequest, EndReason
from jackfield.contracts.panel import Panel
from jackfield.contracts.transport import Transport
from jackfield.errors import ProviderError
from jackfield.plugin import Capabilities, Site
from jackfield_transport_voice_socket import VoiceSocketOptions, make_transport
from jackfield_transport_voice_socket.events import ServerMessage
from tests.core.server.support import Served, assembly, serving


def _model(message: Any) -> Any:
    """A model of a typed dictionary, which pydantic itself does only with a later Python's."""
    if not is_typeddict(message):
        members = [_model(member) for member in get_args(message) if get_origin(message) is UnionType]
        return Union[tuple(members)] if members else message  # noqa: UP007  # not known beforehand
    fields: dict[str, Any] = {}
    for name, hint in get_type_hints(message, include_extras=True).items():
        optional = get_origin(hint) is NotRequired
        kind = _model(get_args(hint)[0] if optional else hint)
        fields[name] = (kind, None if optional else ...)
    return create_model(message.__name__, __config__=ConfigDict(extra="forbid", strict=True), **fields)


_MODELS: Any = _model(ServerMessage)
MESSAGES: Final[TypeAdapter[Any]] = TypeAdapter(_MODELS)
"""What the server may say."""


class TrialCall:
    """A call that does nothing of its own and notes what it is told."""

    def __init__(self, request: CallRequest, leg: CallLeg) -> None:
        self.request = request
        self.leg = leg
        self.told: list[tuple[str, Any]] = []
        self.sound = bytearray()
        self.closed = False
        self._changed = anyio.Event()
        self.reason: EndReason | None = None

    def feed(self, pcm: bytes) -> None:
        self.sound += pcm
        self._wake()

    def begin_speech(self) -> None:
        self._note("begin_speech")

    def end_speech(self) -> None:
        self._note("end_speech")

    def text(self, text: str) -> None:
        self._note("text", text)

    def interrupt(self) -> None:
        self._note("interrupt")

    def played(self, item: int) -> None:
        self._note("played", item)

    def mute(self, *, on: bool) -> None:
        self._note("mute", on)

    def digit(self, digit: str) -> None:
        self._note("digit", digit)

    def switch(self, scenario: str) -> None:
        if scenario == "unknown":
            raise ProtocolError(404, "scenario_not_found", "There is no such scenario.")
        self._note("switch", scenario)

    def hang_up(self, reason: EndReason = "hung_up") -> None:
        self.reason = self.reason or reason
        self._wake()

    async def run(self) -> EndReason:
        while self.reason is None:
            await self._changed.wait()
        return self.reason

    async def until_told(self, *names: str) -> None:
        """Wait for these, in their order, to be all that it was told."""
        while [name for name, _value in self.told] != list(names):
            await self._changed.wait()

    async def until_more(self) -> None:
        """Wait for whatever comes next."""
        await self._changed.wait()

    async def until_fed(self, size: int) -> None:
        """Wait for so many bytes of sound."""
        while len(self.sound) < size:
            await self._changed.wait()

    async def until_closed(self) -> None:
        """Wait until the door has let go of it."""
        while not self.closed:
            await self._changed.wait()

    def close(self) -> None:
        self.closed = True
        self._wake()

    def _note(self, name: str, value: object = None) -> None:
        self.told.append((name, value))
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


class Switchboard:
    """Implements `Calls`. `refusal` is what the next call is refused with, `trouble` what keeps from any."""

    def __init__(self) -> None:
        self.calls: list[TrialCall] = []
        self.refusal: ProtocolError | None = None
        self.trouble: ProviderError | None = None

    @property
    def call(self) -> TrialCall:
        """The latest one."""
        return self.calls[-1]

    @asynccontextmanager
    async def open(self, request: CallRequest, leg: CallLeg) -> AsyncIterator[TrialCall]:
        if self.refusal is not None:
            raise self.refusal
        self.calls.append(TrialCall(request, leg))
        call = self.call
        try:
            yield call
        finally:
            call.close()

    async def check(self, request: CallRequest) -> None:
        if self.trouble is not None:
            raise self.trouble


class _Door:
    """The voice socket, with the switchboard for the panel's own calls."""

    def __init__(self, transport: Transport, switchboard: Switchboard) -> None:
        self._transport = transport
        self._switchboard = switchboard

    def routes(self, panel: Panel) -> APIRouter:
        panel.calls = self._switchboard
        return self._transport.routes(panel)


class Phone:
    """A client's end. Checks everything that comes against the protocol."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def say(self, name: str, /, **fields: object) -> None:
        await self.connection.send(json.dumps({"type": name, **fields}))

    async def start(self, **fields: object) -> dict[str, Any]:
        """Start a call; gives what the server answers."""
        await self.say("start", **fields)
        return await self.hear("started")

    async def next(self) -> dict[str, Any] | bytes:
        """Wait for a message: a JSON one as an object, a binary one as bytes."""
        message = await self.connection.recv()
        if isinstance(message, bytes):
            return message
        found: dict[str, Any] = json.loads(message)
        MESSAGES.validate_python(found, strict=True)
        return found

    async def hear(self, name: str) -> dict[str, Any]:
        """The next message, which has to be of this type."""
        message = await self.next()
        assert isinstance(message, dict), f"sound instead of {name}"
        assert message["type"] == name, message
        return message

    async def sound(self) -> bytes:
        """The next message, which has to be sound."""
        message = await self.next()
        assert isinstance(message, bytes), message
        return message

    async def closed(self) -> int:
        """Wait for the server to close the socket; gives its code."""
        with suppress(ConnectionClosed):
            while True:
                await self.connection.recv()
        assert self.connection.close_code is not None
        return self.connection.close_code

    async def refused(self, code: str) -> tuple[int, dict[str, Any]]:
        """The next message is a fatal error, and the last; gives the close code and the error."""
        error = await self.hear("error")
        assert (error["code"], error["fatal"]) == (code, True), error
        return await self.closed(), error


class Exchange:
    """A server with a voice socket, and clients' connections to it."""

    def __init__(self, served: Served, switchboard: Switchboard) -> None:
        self.served = served
        self.switchboard = switchboard

    @asynccontextmanager
    async def phone(
        self,
        *,
        origin: str | None = None,
        subprotocols: Iterable[str] = (),
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Phone]:
        """Connect."""
        async with connect(
            f"ws://127.0.0.1:{self.served.port}/voice",
            origin=Origin(origin) if origin else None,
            subprotocols=[Subprotocol(name) for name in subprotocols] or None,
            additional_headers=headers,
            proxy=None,
        ) as connection:
            yield Phone(connection)


@asynccontextmanager
async def exchange(
    *,
    auths: Mapping[str, Auth] | None = None,
    config: Mapping[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[Exchange]:
    """Serve a voice socket with these options; with `auths` it is guarded by the first of them."""
    switchboard = Switchboard()
    site = Site("transport.1", "voice_socket", logging.getLogger("trial"))
    transport = make_transport(VoiceSocketOptions(**options), site)
    guard = next(iter(auths), None) if auths else None
    door: Transport = _Door(transport, switchboard)
    built = Built("transport.1", "voice_socket", Capabilities(), door)
    async with serving(assembly(Door(built, "", guard), auths=auths, config=config)) as served:
        yield Exchange(served, switchboard)
