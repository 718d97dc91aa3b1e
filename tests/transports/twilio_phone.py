"""Twilio, as a telephone's server sees it: webhook, stream, sound that it plays, marks that it gives back."""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final
from xml.etree import ElementTree as ET

import anyio
import httpx
from twilio.request_validator import RequestValidator
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from jackfield.audio.mulaw import encode_mulaw

ACCOUNT: Final = "AC00000000000000000000000000000001"
TOKEN: Final = "the-account-s-own-token-of-32-ch"
NUMBER: Final = "+14158675309"
FRAME_BYTES: Final = 160
FRAME_S: Final = 0.02
SILENT_FRAME: Final = b"\xff" * FRAME_BYTES


class Line:
    """A stream that is open. Sound that comes waits in `queue`, with marks between, until it is played."""

    def __init__(self, connection: ClientConnection, stream: str, call: str) -> None:
        self.connection = connection
        self.stream = stream
        self.call = call
        self.queue: deque[bytes | str] = deque()
        self.played = bytearray()
        """Mu-law that the telephone has played."""
        self.clears = 0
        self.marks: list[str] = []
        self.marked_bytes = 0
        """Of `played`, up to the last mark that was passed."""
        self.mouth: deque[bytes] = deque()
        """Frames that the caller is about to say, when `talk` runs."""
        self.spoke_s = self.silent_s = self.sounded_s = self.cleared_s = 0.0
        """When, on the clock of this side, the first and the last of them was sent, sound first came into an
        empty queue, and a `clear` came: the latest of each."""
        self._sequence = 0
        self._chunk = 0

    async def send(self, event: str, /, **fields: Any) -> None:
        """Send a frame of the stream."""
        self._sequence += 1
        frame = {"event": event, "sequenceNumber": str(self._sequence), "streamSid": self.stream, **fields}
        await self.connection.send(json.dumps(frame))

    async def connected(self) -> None:
        """Say what comes first."""
        await self.connection.send('{"event":"connected","protocol":"Call","version":"1.0.0"}')

    async def start(self, token: str | None, **changes: Any) -> None:
        """Begin the stream; `changes` are fields of `start`."""
        start = {
            "streamSid": self.stream,
            "accountSid": ACCOUNT,
            "callSid": self.call,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {} if token is None else {"token": token},
        }
        await self.send("start", start={**start, **changes})

    async def say(self, mulaw: bytes) -> None:
        """Send sound at once, in frames as Twilio's."""
        for at in range(0, len(mulaw), FRAME_BYTES):
            await self.say_frame(mulaw[at : at + FRAME_BYTES])

    async def say_frame(self, mulaw: bytes) -> None:
        self._chunk += 1
        payload = base64.b64encode(mulaw).decode()
        stamp = str(self._chunk * 20)
        media = {"track": "inbound", "chunk": str(self._chunk), "timestamp": stamp, "payload": payload}
        await self.send("media", media=media)

    async def press(self, digit: str) -> None:
        """Press a key."""
        await self.send("dtmf", dtmf={"track": "inbound_track", "digit": digit})

    async def stop(self) -> None:
        """Hang up as a telephone does."""
        await self.send("stop", stop={"accountSid": ACCOUNT, "callSid": self.call})

    async def next(self) -> str:
        """Take one frame, and do as it says; gives its event."""
        text = await self.connection.recv()
        assert isinstance(text, str), "Twilio's frames are text"
        frame = json.loads(text)
        assert frame["streamSid"] == self.stream
        match frame:
            case {"event": "media", "media": {"payload": payload, **others}} if (
                not others and len(frame) == 3
            ):
                sound = base64.b64decode(payload, validate=True)
                assert sound
                if not self.queue:
                    self.sounded_s = anyio.current_time()
                self.queue.append(sound)
            case {"event": "mark", "mark": {"name": str(name), **others}} if not others and len(frame) == 3:
                self.queue.append(name)
            case {"event": "clear"} if len(frame) == 2:
                self.clears += 1
                self.cleared_s = anyio.current_time()
                marks = [entry for entry in self.queue if isinstance(entry, str)]
                self.queue.clear()
                for name in marks:
                    await self._give_back(name)
            case _:
                raise AssertionError(f"not a frame for Twilio: {text}")
        return str(frame["event"])

    async def until(self, event: str) -> None:
        """Take frames up to one of an event."""
        while await self.next() != event:
            pass

    async def until_waiting(self, seconds: float) -> None:
        """Take frames until so much sound waits to be played."""
        while self.waiting_s < seconds - 1e-9:
            await self.next()

    @property
    def waiting_s(self) -> float:
        """Seconds of sound that were not played yet."""
        return sum(len(entry) for entry in self.queue if isinstance(entry, bytes)) / 8000

    async def play(self, seconds: float) -> None:
        """Play what waits, as far as that goes, and give back the marks that are passed."""
        left = round(seconds * 8000)
        while self.queue:
            entry = self.queue[0]
            if isinstance(entry, str):
                self.queue.popleft()
                self.marked_bytes = len(self.played)
                await self._give_back(entry)
                continue
            if not left:
                return
            self.played += entry[:left]
            if len(entry) > left:
                self.queue[0] = entry[left:]
                return
            self.queue.popleft()
            left -= len(entry)

    async def play_out(self, seconds: float) -> None:
        """Play as fast as sound comes, until a mark says that so much was played from the beginning on."""
        while self.marked_bytes < round(seconds * 8000):
            await (self.play(0.1) if self.queue else self.next())

    async def _give_back(self, name: str) -> None:
        self.marks.append(name)
        await self.send("mark", mark={"name": name})

    async def talk(self) -> None:
        """Hold the line in real time until it closes: what is in the mouth, else silence."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen, tasks.cancel_scope)
            with suppress(ConnectionClosed):
                await self._speak()

    async def _speak(self) -> None:
        due_s = anyio.current_time()
        speaking = False
        while True:
            if self.mouth:
                self.silent_s = anyio.current_time()
                self.spoke_s = self.spoke_s if speaking else self.silent_s
            speaking = bool(self.mouth)
            await self.say_frame(self.mouth.popleft() if speaking else SILENT_FRAME)
            await self.play(FRAME_S)
            due_s += FRAME_S
            await anyio.sleep_until(due_s)

    async def _listen(self, scope: anyio.CancelScope) -> None:
        with suppress(ConnectionClosed):
            while True:
                await self.next()
        scope.cancel()

    async def closed(self) -> int:
        """Wait for the server to close the stream; gives its code."""
        with suppress(ConnectionClosed):
            while True:
                await self.connection.recv()
        assert self.connection.close_code is not None
        return self.connection.close_code


@dataclass
class Twilio:
    """The service, in front of a server at `port` that the world knows as `public_url`."""

    port: int
    public_url: str
    client: httpx.AsyncClient
    token: str = TOKEN
    calls: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    """Sent along with everything, as a proxy would."""

    def signature(self, url: str, fields: Mapping[str, str] | None = None) -> str:
        """Sign a request."""
        return str(RequestValidator(self.token).compute_signature(url, fields or {}))

    def form(self, **changes: str) -> dict[str, str]:
        """What a webhook is told of a new call."""
        self.calls += 1
        sid = f"CA{self.calls:032}"
        return {
            "AccountSid": ACCOUNT,
            "CallSid": sid,
            "From": NUMBER,
            "To": "+18005551212",
            "CallStatus": "ringing",
            "CallerName": "Möbius & Söhne",
            "StirVerstat": "",
            **changes,
        }

    async def ask(self, path: str, fields: Mapping[str, str], **headers: str) -> httpx.Response:
        """Ask the webhook, signed unless `headers` have another `signature`."""
        signature = headers.pop("signature", self.signature(f"{self.public_url}{path}", fields))
        sent = {**self.headers, "X-Twilio-Signature": signature, **headers}
        return await self.client.post(path, data=fields, headers=sent)

    async def announced(self, path: str = "/incoming-call/default", **changes: str) -> Announced:
        """Ask the webhook about a new call, and do what TwiML says."""
        fields = self.form(**changes)
        response = await self.ask(path, fields)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].startswith("text/xml")
        return Announced(fields["CallSid"], *read_twiml(response.text))

    @asynccontextmanager
    async def line(self, url: str, call: str = "CA1", *, signature: str | None = None) -> AsyncIterator[Line]:
        """Open the stream at its public address."""
        path = url.partition("://")[2].partition("/")[2]
        signed = self.signature(url) if signature is None else signature
        async with connect(
            f"ws://127.0.0.1:{self.port}/{path}",
            additional_headers={**self.headers, **({"x-twilio-signature": signed} if signed else {})},
            proxy=None,
        ) as connection:
            yield Line(connection, f"MZ{self.calls:032}", call)

    @asynccontextmanager
    async def call(self, path: str = "/incoming-call/default", **changes: str) -> AsyncIterator[Line]:
        """Put a call through."""
        announced = await self.announced(path, **changes)
        async with self.line(announced.url, announced.call) as line:
            await line.connected()
            await line.start(announced.token)
            yield line


@dataclass(frozen=True)
class Announced:
    """A call, and where its stream is to go."""

    call: str
    url: str
    token: str


def read_twiml(text: str) -> tuple[str, str]:
    """Give the address and the token that TwiML names; it may say nothing else."""
    response = ET.fromstring(text)
    assert [response.tag, *(child.tag for child in response)] == ["Response", "Connect"]
    (stream,) = response[0]
    (parameter,) = stream
    assert (stream.tag, set(stream.attrib), parameter.tag) == ("Stream", {"url"}, "Parameter")
    assert (parameter.attrib["name"], set(parameter.attrib)) == ("token", {"name", "value"})
    return stream.attrib["url"], parameter.attrib["value"]


def silence(seconds: float) -> bytes:
    """Mu-law."""
    return encode_mulaw(bytes(round(seconds * 8000) * 2))
