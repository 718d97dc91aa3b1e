"""Many callers at once, cheaply: sound made beforehand into raw sockets, by one timer for all of them."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from statistics import quantiles
from typing import Final

FRAME_S: Final = 0.02
_SLOTS: Final = 20
"""Callers' frames are spread over the length of a frame: one group each millisecond."""
_SLOT_S: Final = FRAME_S / _SLOTS
_LONGEST_S: Final = 10.0
_BINARY: Final = 2
_CLOSE: Final = 8
_PING: Final = 9
_TWO_BYTES: Final = 126
_EIGHT_BYTES: Final = 127
_UPGRADE: Final = (
    "GET {path} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def binary(data: bytes) -> bytes:
    """A client's message of sound (RFC 6455), masked with zeros, which leaves it as it is."""
    return _message(0x82, data)


def text(message: object) -> bytes:
    """A client's JSON message."""
    return _message(0x81, json.dumps(message).encode())


def _message(head: int, data: bytes) -> bytes:
    if len(data) < _TWO_BYTES:
        return bytes([head, 0x80 | len(data), 0, 0, 0, 0]) + data
    return bytes([head, 0xFE]) + len(data).to_bytes(2, "big") + bytes(4) + data


@dataclass(frozen=True, slots=True)
class Script:
    """What a caller does, again and again: a message or two each 20 ms."""

    start: bytes
    """The first message of all."""
    steps: Sequence[bytes]
    end_at: int
    """The step with which the user stops speaking."""


@dataclass(slots=True)
class Heard:
    """What the callers noticed."""

    first_audio_s: list[float] = field(default_factory=list)
    """From the moment at which the user stopped speaking."""
    turns: int = 0
    unanswered: int = 0
    """Turns without sound until the next."""
    uncalled: int = 0
    """Answers that began before the user had stopped."""
    sound_messages: int = 0
    other_messages: int = 0
    late_s: list[float] = field(default_factory=list)
    """By how much the callers themselves were late."""
    lost: int = 0
    """Calls that the server ended."""

    def add(self, other: Heard) -> None:
        """Take in what was noticed another time."""
        for name in (each.name for each in fields(self)):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def quantile_ms(self, percent: int) -> float:
        """The time to first audio that so many percent were within, in milliseconds."""
        return percentile_ms(self.first_audio_s, percent)


def percentile_ms(times_s: Sequence[float], percent: int) -> float:
    """The time that so many percent were within, in milliseconds."""
    if len(times_s) < 2:
        return times_s[0] * 1000 if times_s else float("nan")
    return quantiles(times_s, n=100, method="inclusive")[percent - 1] * 1000


class Speaker:
    """Goes through a script, and notes when it is answered. What it speaks over is for others to say."""

    def __init__(self, script: Script, at: int, load: Load) -> None:
        self._script = script
        self._at = at
        self._load = load
        self._ended_s: float | None = None

    def step(self) -> None:
        """Send what is due."""
        script, at = self._script, self._at
        self._at = (at + 1) % len(script.steps)
        if at == script.end_at and self._load.counts:
            heard = self._load.heard
            heard.turns += 1
            heard.unanswered += self._ended_s is not None
            self._ended_s = time.perf_counter()
        self.send(script.steps[at])

    def send(self, data: bytes) -> None:
        """Send a step of the script."""
        raise NotImplementedError

    def close(self) -> None:
        """End the call."""
        raise NotImplementedError

    @property
    def interrupted(self) -> bool:
        """Whether an answer that begins now does so before the user has stopped."""
        return self._ended_s is None and self._load.counts and self._at <= self._script.end_at

    def heard(self, now_s: float) -> None:
        """Sound has come."""
        heard = self._load.heard
        heard.sound_messages += 1
        if self._ended_s is not None:
            heard.first_audio_s.append(now_s - self._ended_s)
            self._ended_s = None

    def lose(self) -> None:
        """The server has ended the call."""
        self._load.heard.lost += 1
        self._load.drop(self)


class Caller(Speaker):
    """One call over a WebSocket, opened at once."""

    def __init__(
        self,
        port: int,
        script: Script,
        at: int,
        load: Load,
        *,
        path: str = "/voice",
        started: bytes = b'"started"',
    ) -> None:
        """`started` ends what follows the first message; empty is nothing."""
        super().__init__(script, at, load)
        self._behind = b""  # what the kernel did not take
        self._buffer = b""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_LONGEST_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(_UPGRADE.format(path=path).encode())
        self._read_until(b"\r\n\r\n")
        self.socket.sendall(script.start)
        if started:
            self._read_until(started)
        self.socket.setblocking(False)
        asyncio.get_running_loop().add_reader(self.socket, self.readable)

    def _read_until(self, end: bytes) -> None:
        read = b""
        while end not in read:
            more = self.socket.recv(65_536)
            if not more:
                raise SystemExit(f"the server has ended a call: {read[-300:]!r}")
            read += more

    def send(self, data: bytes) -> None:
        """Send messages, as `binary` and `text` make them."""
        data = self._behind + data
        try:
            self._behind = data[self.socket.send(data) :]
        except BlockingIOError:
            self._behind = data
        except OSError:
            self.lose()

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.socket)
        self.socket.close()

    def readable(self) -> None:
        """Take what has come."""
        now_s = time.perf_counter()
        try:
            more = self.socket.recv(65_536)
        except OSError:
            more = b""
        if not more:
            self.lose()
            return
        data = self._buffer + more
        at = 0
        while len(data) >= at + 2:
            head, size, start = data[at], data[at + 1], at + 2
            if size >= _TWO_BYTES:
                width = 8 if size == _EIGHT_BYTES else 2
                size = int.from_bytes(data[start : start + width], "big")
                start += width
            if len(data) < start + size:
                break
            at = start + size
            self._take(head & 15, data[start:at], now_s)
        self._buffer = data[at:]

    def _take(self, kind: int, payload: bytes, now_s: float) -> None:
        if kind == _BINARY:
            self.heard(now_s)
        elif kind == _PING:
            self.send(_message(0x8A, payload))
        elif kind == _CLOSE:
            self.lose()
        else:
            self.told(payload, now_s)

    def told(self, payload: bytes, now_s: float) -> None:
        """A text message has come."""
        heard = self._load.heard
        heard.other_messages += 1
        if self.interrupted and b'"reply.started"' in payload:
            heard.uncalled += 1


class Load:
    """Callers of one server; open it, then let several run side by side with `run`."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._random = random.Random(port)
        self._slots: list[list[Speaker]] = [[] for _ in range(_SLOTS)]
        self.callers = 0
        self.counts = False
        self.heard = Heard()

    def open(self, calls: int, scripts: Sequence[Script]) -> None:
        """Begin more calls; each begins somewhere in its script."""
        for _ in range(calls):
            script = scripts[self.callers % len(scripts)]
            self.add(Caller(self.port, script, self.anywhere(script), self))

    def anywhere(self, script: Script) -> int:
        """Give a step of a script to begin with."""
        return self._random.randrange(len(script.steps))

    def add(self, caller: Speaker) -> None:
        """Let one more speak."""
        self._slots[self.callers % _SLOTS].append(caller)
        self.callers += 1

    def count(self, *, on: bool) -> None:
        """Begin to count, from nothing; or stop."""
        self.counts = on
        if on:
            self.heard = Heard()

    def slot(self, number: int) -> None:
        """Let the callers whose turn it is send."""
        for caller in tuple(self._slots[number % _SLOTS]):
            caller.step()

    def drop(self, caller: Speaker) -> None:
        """End a call."""
        for slot in self._slots:
            if caller in slot:
                slot.remove(caller)
                caller.close()

    def close(self) -> None:
        """End all calls."""
        for slot in self._slots:
            for caller in tuple(slot):
                self.drop(caller)
        self.callers = 0


async def run(loads: Sequence[Load], seconds: float) -> None:
    """Let all callers speak for so long, in real time."""
    loop = asyncio.get_running_loop()
    began_s = time.perf_counter()
    slot = 0
    while (now_s := time.perf_counter()) < began_s + seconds:
        late_s = now_s - began_s - slot * _SLOT_S
        while slot * _SLOT_S <= now_s - began_s:
            for load in loads:
                load.slot(slot)
            slot += 1
        for load in loads:
            load.heard.late_s.append(late_s)
        turn: asyncio.Future[None] = loop.create_future()
        loop.call_later(_SLOT_S, turn.set_result, None)
        await turn
