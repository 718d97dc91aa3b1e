"""Visitors of doors with WebSockets: most hold theirs and say nothing, some ask all the time."""

from __future__ import annotations

import asyncio
import random
import time
from array import array
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

import anyio

from soak.line import Line, dial, text, upgrade
from soak.server import PREFIX
from soak.tally import Tally
from soak.tongues import Tongue, Unexpected

SERVED: Final = "idle sockets that were served at the end"
_ANSWER_S: Final = 20.0
"""A visitor who has waited for so long complains."""
_HANG_UP_S: Final = 5.0
_PAUSE_S: Final = (0.5, 1.5)
_QUESTIONS: Final = (20, 70)
"""Of one conversation."""
_WORDS: Final = "how do i get from the main station to the old harbour on foot today"


@dataclass(slots=True)
class VisitorTally(Tally):
    """What happened to all visitors together."""

    answers: dict[str, tuple[array[float], array[float]]] = field(default_factory=dict)
    """By door: when each answer was whole, of the monotonic clock, and how long it had taken, in seconds."""

    def answered(self, door: str, at_s: float, took_s: float) -> None:
        """Note an answer."""
        when, took = self.answers.setdefault(door, (array("d"), array("d")))
        when.append(at_s)
        took.append(took_s)
        self.counts["answers"] += 1


class Visitor:
    """One visitor. Every answer must be to the visitor's own last question, whole, and in its order."""

    def __init__(self, port: int, name: str, tongue: Tongue, tally: VisitorTally, seed: int) -> None:
        self._port = port
        self._name = name
        self._tongue = tongue
        self._tally = tally
        self._dice = random.Random(seed)
        self._numbers = count(1)
        self._line = Line(self)
        self._leaving = False
        self._expected: str | None = None
        self._pieces = ""
        self._asking = False
        self._over = anyio.Event()
        self._over_at_s = 0.0

    async def hold(self, *, until: anyio.Event, connected: anyio.Event, patience_s: float) -> None:
        """Hold a socket and say nothing; when the time comes, be patient for a moment, and ask once."""
        try:
            await self._connect()
            connected.set()
            await until.wait()
            await anyio.sleep(patience_s)
            await self._begin()
            await self._ask()
            self._tally.counts[SERVED] += 1
            await self._hang_up("close")
            await self._forget()
        except OSError as error:  # a TimeoutError too
            self._complain(f"{error!r}")
        finally:
            connected.set()
            self._tally.counts["pings answered"] += self._line.pings
            self._break_off()

    async def talk(self) -> None:
        """Ask all the time, in one conversation after the other, until cancelled."""
        await anyio.sleep(self._dice.uniform(0, _PAUSE_S[1]))
        while True:
            try:
                await self.converse(self._dice.randint(*_QUESTIONS))
            except OSError as error:  # a TimeoutError too
                self._complain(f"{error!r}")
                await anyio.sleep(1)

    async def converse(self, questions: int) -> None:
        """Have a conversation over a socket of its own, and have it deleted."""
        try:
            await self._connect()
            await self._begin()
            for _ in range(questions):
                took_s = await self._ask()
                self._tally.answered(self._tongue.door, self._over_at_s, took_s)
                await anyio.sleep(self._dice.uniform(*_PAUSE_S) if questions > 1 else 0)
            await self._hang_up(self._dice.choice(["close", "drop", "break off"]))
            await self._forget()
            self._tally.counts["conversations"] += 1
        finally:
            self._break_off()

    async def _connect(self) -> None:
        self._leaving = False
        self._line = Line(self, upgrade(self._tongue.path, self._tongue.headers))
        with anyio.fail_after(_ANSWER_S):
            await dial(self._port, self._line)
        if self._line.over.is_set():
            raise ConnectionError("no socket was opened")

    async def _begin(self) -> None:
        opening = self._tongue.opening()
        if opening is not None:
            self._expected = None
            await self._say(opening)

    async def _ask(self) -> float:
        """Ask, and give the seconds until the answer was whole."""
        asked = f"{self._name} {next(self._numbers)} {_WORDS}"
        self._expected, self._pieces = f"{PREFIX}{asked}", ""
        began_s = time.perf_counter()
        await self._say(self._tongue.question(asked, stream=self._dice.random() < 0.5))
        if self._expected is not None:
            raise ConnectionError("an answer did not come")
        return self._over_at_s - began_s

    async def _say(self, frame: dict[str, Any]) -> None:
        self._asking, self._over = True, anyio.Event()
        self._line.send(text(frame))
        with anyio.fail_after(_ANSWER_S):
            await self._over.wait()

    def _break_off(self) -> None:
        self._leaving = True
        self._line.break_off()

    def event(self, message: dict[str, Any]) -> None:
        """Take what the server says."""
        if not self._asking and not self._leaving:
            self._complain("something came that nobody asked for")
        try:
            heard = self._tongue.hear(message)
        except Unexpected as error:
            self._complain(f"unexpected: {error}")
            self._end()
            return
        self._pieces += heard.piece
        if heard.whole is not None:
            self._check(heard.whole)
        if heard.over:
            self._over_at_s = time.perf_counter()
            self._end()

    def sound(self, data: bytes) -> None:
        """Take what no door here sends."""
        self._complain("sound came")

    def closed(self) -> None:
        """The connection is gone."""
        if not self._leaving:
            self._complain(f"the server has hung up with code {self._line.closed_with}")
        self._end()

    def _end(self) -> None:
        """Nothing more is waited for."""
        self._asking = False
        self._over.set()

    def _check(self, whole: str) -> None:
        if whole != self._expected:
            self._complain("a wrong answer")
        elif self._pieces and self._pieces.strip() != whole:
            self._complain("the pieces of an answer are not the answer")
        self._expected = None

    async def _hang_up(self, how: str) -> None:
        self._leaving = True
        self._tally.counts[f"hung up by {how}"] += 1
        match how:
            case "close":
                self._line.say_goodbye()
            case "drop":
                self._line.drop()
            case _:
                self._line.break_off()
        with anyio.fail_after(_HANG_UP_S):
            await self._line.over.wait()

    async def _forget(self) -> None:
        """Have the conversation deleted, by the door that can: both have the same users."""
        conversation = self._tongue.conversation
        if not conversation:
            return
        lines = {"Host": "soak", "Connection": "close", **self._tongue.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        request = f"DELETE /pi/api/conversations/{conversation} HTTP/1.1\r\n{head}\r\n"
        with anyio.fail_after(_ANSWER_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            writer.write(request.encode())
            answer = await reader.read()
            writer.close()
        if not answer.startswith(b"HTTP/1.1 204"):
            self._complain(f"a conversation was not deleted: {answer[9:12].decode()}")
        self._tally.counts["conversations deleted"] += 1

    def _complain(self, what: str) -> None:
        self._tally.wrong.append(f"{self._name} at {self._tongue.door}: {what}")
