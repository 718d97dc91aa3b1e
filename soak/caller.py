"""A caller: holds one call after the other, talks, types, interrupts and hangs up at any moment."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import ClassVar, Final, Protocol

import anyio

from soak.line import Line, dial
from soak.tally import Tally
from soak.witness import Witness

FRAME_S: Final = 0.04
_ANSWER_S: Final = 20.0
"""A caller who has waited for so long complains."""
HANG_UP_S: Final = 5.0
_LIFE_S: Final = (5.0, 75.0)
_PAUSE_S: Final = (0.3, 3.0)


@dataclass(frozen=True, slots=True)
class Manner:
    """How a kind of caller talks. Sound is messages, each of `FRAME_S` seconds, as they are sent."""

    name: str
    start: dict[str, object]
    quiet: Sequence[bytes]
    """Sent while nobody speaks; nothing for a button that is released."""
    utterances: Sequence[Sequence[bytes]]


class Wire(Protocol):
    """What a caller talks over."""

    over: anyio.Event
    """Set when it is gone."""

    def send(self, frame: bytes, /) -> None:
        """Send sound, as the caller's manner has it."""
        ...

    def command(self, message: Mapping[str, object]) -> None:
        """Send a JSON message."""
        ...


class Caller:
    """Calls the server at `port` again and again; over what is for others to say."""

    frame_s: ClassVar[float] = FRAME_S
    digits: ClassVar[bool] = True
    """Whether it presses keys."""

    def __init__(self, port: int, name: str, manners: Sequence[Manner], tally: Tally, seed: int) -> None:
        self._port = port
        self._name = name
        self._manners = manners
        self._tally = tally
        self._dice = random.Random(seed)
        self._typed = count(1)
        self._manner = manners[0]
        self._phase = ""
        self._line: Wire | None = None
        self._witness = Witness(tally, self._complain)
        self._next_s = 0.0

    async def run(self) -> None:
        """Call until cancelled."""
        await anyio.sleep(self._dice.uniform(0, 3))
        while True:
            self._manner = self._dice.choice(self._manners)
            await self._call()
            await anyio.sleep(self._dice.uniform(0, 1))

    async def _call(self) -> None:
        self._phase = "dialling"
        try:
            with anyio.fail_after(_ANSWER_S):
                self._line = line = await self._dial()
            self._tally.counts["calls"] += 1
            self._next_s = anyio.current_time()
            with anyio.move_on_after(self._dice.uniform(*_LIFE_S)):
                while not line.over.is_set():
                    await self._turn(self._witness)
                self._complain("the server has hung up")
            await self._hang_up()
        except OSError as error:  # a TimeoutError too
            self._complain(f"no call began, or none ended: {error!r}")
        finally:
            await self._leave()

    async def _dial(self) -> Wire:
        """Begin a call, with a witness of its own.

        :raises OSError: when there is none.
        """
        raise NotImplementedError

    async def _hang_up(self) -> None:
        """End the call in one of several ways.

        :raises OSError: when the server does not let go.
        """
        raise NotImplementedError

    async def _leave(self) -> None:
        """Leave nothing behind, whatever has happened."""
        raise NotImplementedError

    def _hanging_up(self, ways: Sequence[str]) -> str:
        """Choose one of the ways."""
        how = self._dice.choice(ways)
        self._tally.counts[f"hung up by {how}"] += 1
        self._phase = f"hanging up by {how}"
        return how

    async def _turn(self, witness: Witness) -> None:
        """Ask something, listen to the answer or interrupt it, and rest."""
        await (self._type() if self._dice.random() < 0.25 else self._speak())
        before = witness.finished
        chance = self._dice.random()
        if chance < 0.4 and await self._until(lambda: witness.sounding, may_end=True):
            await self._hush(self._dice.uniform(0.05, 1.2))
            await self._interrupt(witness)
        elif chance < 0.9:
            await self._until(lambda: witness.finished > before and witness.open_item is None)
        await self._hush(self._dice.uniform(*_PAUSE_S))

    async def _interrupt(self, witness: Witness) -> None:
        self._tally.counts["interruptions"] += 1
        before = witness.finished
        match self._dice.randrange(3):
            case 0:
                self._phase = "stopping an answer"
                self._send({"type": "interrupt"})
                await self._until(lambda: witness.open_item is None)
                return
            case 1:
                await self._type()
            case _:
                await self._speak()
        await self._until(lambda: witness.finished > before and witness.open_item is None)

    async def _type(self) -> None:
        self._phase = "typing"
        self._tally.counts["typed"] += 1
        self._send({"type": "text", "text": f"typed {next(self._typed)}"})

    async def _speak(self) -> None:
        self._phase = "speaking"
        self._tally.counts["spoken"] += 1
        explicit = self._manner.start.get("turns") == "explicit"
        if explicit:
            self._send({"type": "speech.start"})
        for frame in self._dice.choice(self._manner.utterances):
            await self._frame(frame)
        if explicit:
            self._send({"type": "speech.end"})

    async def _hush(self, seconds: float) -> None:
        self._phase = "silent"
        if self.digits and self._dice.random() < 0.1:
            self._send({"type": "dtmf", "digit": self._dice.choice("0123456789*#")})
        muted = self._dice.random() < 0.1
        if muted:
            self._send({"type": "mute", "on": True})
        for number in range(round(seconds / self.frame_s)):
            await self._frame(self._quiet(number))
        if muted:
            self._send({"type": "mute", "on": False})

    async def _until(self, true: Callable[[], bool], *, may_end: bool = False) -> bool:
        """Wait, with an open microphone, until something is so; says whether it became so."""
        self._phase += ", then waiting"
        until_s = anyio.current_time() + _ANSWER_S
        number = 0
        while not true():
            if may_end and self._witness.open_item is None and number * self.frame_s > 1.5:
                return False
            if anyio.current_time() > until_s:
                self._complain("nothing came")
                return False
            await self._frame(self._quiet(number))
            number += 1
        return True

    def _quiet(self, number: int) -> bytes:
        quiet = self._manner.quiet
        return quiet[number % len(quiet)] if quiet else b""

    async def _frame(self, frame: bytes) -> None:
        self._next_s += self.frame_s
        await anyio.sleep(max(0.0, self._next_s - anyio.current_time()))
        if frame and self._line is not None:
            self._line.send(frame)

    def _send(self, message: dict[str, object]) -> None:
        if self._line is not None:
            self._line.command(message)

    def _complain(self, what: str) -> None:
        self._tally.wrong.append(f"{self._name} ({self._manner.name}, {self._phase}): {what}")


class SocketCaller(Caller):
    """Calls over the voice socket."""

    _socket: Line | None = None

    async def _dial(self) -> Wire:
        self._witness = witness = Witness(self._tally, self._complain)
        self._socket = line = Line(witness)
        await dial(self._port, line)
        line.command({"type": "start", **self._manner.start, **self._conversation()})
        await witness.started.wait()
        return line

    def _conversation(self) -> dict[str, object]:
        """Half of the calls go on with the caller's earlier conversation."""
        return {"session_id": self._name} if self._dice.random() < 0.5 else {}

    async def _hang_up(self) -> None:
        line, how = self._socket, self._hanging_up(["stop", "close", "drop", "break off"])
        assert line is not None
        match how:
            case "stop":
                line.command({"type": "stop"})
            case "close":
                line.say_goodbye()
            case "drop":
                line.drop()
            case _:
                line.break_off()
        with anyio.fail_after(HANG_UP_S):
            await line.over.wait()
        if how == "stop" and (self._witness.ended, line.closed_with) != ("hung_up", 1000):
            self._complain(f"ended as {self._witness.ended} with code {line.closed_with}")

    async def _leave(self) -> None:
        if self._socket is not None:
            self._socket.break_off()
