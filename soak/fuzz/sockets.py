"""Fuzzing WebSockets: conversations that go wrong at every door, and each door as good as before."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from random import Random
from typing import Final

from soak.fuzz.findings import Findings
from soak.fuzz.house import House
from soak.fuzz.mutation import OWN_CODES, VIOLATIONS, fragmented, mutated
from soak.fuzz.talks import DOORS, Door, Talk
from soak.fuzz.wire import BINARY, CLOSE, PONG, TEXT, Message, RawSocket, close_frame, frame

_AT_ONCE: Final = 4
_QUIET_S: Final = 0.03
"""After so long nothing more comes that is waited for."""
_CROWD: Final = 40
_PROTOCOL: Final = {1000, 1001, 1002, 1003, 1005, 1007, 1008, 1009, 1013}
CODES: Final = frozenset({*_PROTOCOL, 4401, 4403, 4404, 4409, 4429, *OWN_CODES})
"""With these a socket may be closed. 1011 is none of them, for nothing of the server's own has failed."""
_MOST_SENT: Final = 30


class SocketFuzzer:
    """Runs cases by number; the same number of the same seed is the same case."""

    def __init__(self, house: House, seed: int, findings: Findings) -> None:
        self._house = house
        self._seed = seed
        self._findings = findings

    def run(self, cases: range) -> None:
        """Run cases, some at a time, and then a correct conversation at each door."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._case, cases))
        self.greet(f"after case {cases.stop - 1}")

    def greet(self, when: str) -> None:
        """Have a correct conversation at each door, all at once."""
        with ThreadPoolExecutor(len(DOORS)) as pool:
            list(pool.map(lambda door: self._greet(door, when), DOORS))

    def _greet(self, door: Door, when: str) -> None:
        try:
            with self._announced(door) as socket:
                door.greet(socket, "All is well.")
                socket.send(close_frame(1000))
                _hear_out(socket)
        except (RuntimeError, LookupError, ValueError, OSError) as error:
            self._wrong(f"{when}, a correct conversation at {door.mount}{door.path}: {error!r}")

    def _case(self, number: int) -> None:
        dice = Random(f"{self._seed}-{number}")
        door = DOORS[number % len(DOORS)]
        act = dice.choices(_ACTS, _WEIGHTS)[0]
        place = f"case {number} of seed {self._seed}, {act.__name__.strip('_')} at {door.mount}{door.path}"
        self._findings.counts[act.__name__.strip("_")] += 1
        try:
            for message in act(self, door, dice):
                self._judge(message, place)
        except Exception as error:  # noqa: BLE001  # every kind of answer is possible
            self._wrong(f"{place}: {type(error).__name__}: {error}")

    def _judge(self, message: Message, place: str) -> None:
        if message.opcode == CLOSE:
            self._findings.counts[f"closed with {message.code}"] += 1
            if message.code not in CODES:
                self._wrong(f"{place}: the socket was closed with {message.code}")
        elif message.opcode == TEXT:
            event = message.event()
            code = event.get("code") or (event.get("payload") or {}).get("code")
            if code is not None:
                self._findings.counts["errors told"] += 1
            if code == "internal_error":
                self._wrong(f"{place}: the server says {code}")
        elif message.opcode not in (BINARY, PONG):
            self._wrong(f"{place}: a frame of kind {message.opcode} came")

    def _wrong(self, text: str) -> None:
        self._findings.wrong.append(text)

    def _socket(self, door: Door, early: bytes = b"") -> RawSocket:
        return RawSocket(self._house.port, door.mount + door.path, self._house.headers(door.mount), early)

    @contextmanager
    def _announced(self, door: Door) -> Iterator[RawSocket]:
        """A socket on which everything has been said that comes first."""
        opening = door.announce(self._house, door.mount)
        with self._socket(door) as socket:
            _must(socket.open(), f"the handshake was answered with {socket.status}")
            for message in opening:
                socket.say(message)
            yield socket

    def _talk(self, door: Door, dice: Random) -> Sequence[Message]:
        """A conversation with messages changed, left out, twice, and in another order."""
        with self._announced(door) as socket:
            heard: list[Message] = []
            for message in _disordered(dice.choice(door.talks), dice):
                if dice.random() < 0.4:
                    socket.send(mutated(message, dice))
                elif dice.random() < 0.15:
                    kind, data = _plain(message)
                    socket.send(fragmented(data, kind, dice))
                else:
                    socket.say(message)
                if dice.random() < 0.2:
                    heard += _hear(socket)
            return [*heard, *_end(socket, dice)]

    def _violate(self, door: Door, dice: Random) -> Sequence[Message]:
        """Break the protocol in the middle of a conversation."""
        with self._announced(door) as socket:
            talk = dice.choice(door.talks)
            for message in talk[: dice.randrange(len(talk) + 1)]:
                socket.say(message)
            text = next(json.dumps(message).encode() for message in talk if not isinstance(message, bytes))
            socket.send(dice.choice(VIOLATIONS)(text, dice))
            return [*_hear(socket), *_end(socket, dice, complete=False)]

    def _hasten(self, door: Door, dice: Random) -> Sequence[Message]:
        """Say everything together with the handshake, right or wrong."""
        text = json.dumps(dice.choice(dice.choice(door.talks)[:1])).encode()
        wrong = dice.random() < 0.6
        with self._socket(
            door, dice.choice(VIOLATIONS)(text, dice) if wrong else frame(TEXT, text)
        ) as socket:
            if not socket.open():
                _must(socket.status < 500, f"the handshake was answered with {socket.status}")
                return []
            return [*_hear(socket), *_end(socket, dice, complete=False)]

    def _intrude(self, door: Door, dice: Random) -> Sequence[Message]:
        """Open a socket in a way that is wrong, or as nobody."""
        headers = {"Authorization": dice.choice(("Bearer", "Bearer wrong", "Basic eDp5", "\xff", "x" * 4000))}
        path = door.mount + door.path + dice.choice(_TAILS)
        with RawSocket(self._house.port, path, headers | dice.choice(_HANDSHAKES)) as socket:
            if not socket.open():
                _must(socket.status < 500, f"the handshake was answered with {socket.status}")
                _must(socket.status > 0 or socket.closed, "the handshake was never answered")
                return []
            socket.say(dice.choice(dice.choice(door.talks)))
            return [*_hear(socket), *_end(socket, dice)]

    def _crowd(self, door: Door, dice: Random) -> Sequence[Message]:
        """Many sockets, dropped before, in and after their handshakes."""
        sockets = [self._socket(door) for _ in range(_CROWD)]
        for socket in sockets:
            if dice.random() < 0.3:
                socket.open()
            if dice.random() < 0.3:
                socket.say(dice.choice(door.talks)[0])
        for socket in sockets:
            dice.choice((socket.reset, socket.half_close, lambda: None))()
            socket.__exit__(None, None, None)
        return []


Act = Callable[[SocketFuzzer, Door, Random], Sequence[Message]]
_ACTS: Final[Sequence[Act]] = [
    SocketFuzzer._talk,
    SocketFuzzer._violate,
    SocketFuzzer._hasten,
    SocketFuzzer._intrude,
    SocketFuzzer._crowd,
]
_WEIGHTS: Final = (60, 28, 4, 7, 1)
_LONG: Final = ("?" + "a" * 5_000, "?" + "a" * 9_000)
_TAILS: Final = ("", "?chat_id=", "?chat_id=%00%ff", "/", "%2e%2e", "#x", "%ff", "\xe9", *_LONG)
_HANDSHAKES: Final[Sequence[dict[str, str]]] = [
    {},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-WebSocket-Version": "8"},
    {"Sec-WebSocket-Key": "short"},
    {"Sec-WebSocket-Protocol": "jackfield.bearer"},
    {"Sec-WebSocket-Protocol": "jackfield.bearer, wrong, a, b,,"},
    {"Sec-WebSocket-Protocol": "\xff, jackfield.bearer"},
    {"Sec-WebSocket-Extensions": "permessage-deflate; server_max_window_bits=99"},
    {"X-Request-Id": "../../x"},
    {"X-Jackfield-Hop": "99999"},
    {"Cookie": "access_token=\xff\x01; =; ;;"},
    {"Content-Length": "5"},
    {"X-Long": "a" * 9_000},
    {f"X-{number}": "a" for number in range(150)},
    {"Upgrade": "h2c"},
    {"Connection": "close"},
]


def _disordered(talk: Talk, dice: Random) -> list[object]:
    messages = list(talk)
    match dice.randrange(6):
        case 0:
            dice.shuffle(messages)
        case 1:
            del messages[dice.randrange(len(messages))]
        case 2:
            messages.insert(dice.randrange(len(messages) + 1), dice.choice(messages))
        case 3:
            messages.insert(1, dice.choice(dice.choice(dice.choice(DOORS).talks)))
        case 4:
            messages *= dice.choice((2, 10))
    return messages[:_MOST_SENT]


def _plain(message: object) -> tuple[int, bytes]:
    return (BINARY, message) if isinstance(message, bytes) else (TEXT, json.dumps(message).encode())


def _hear(socket: RawSocket) -> list[Message]:
    """What comes until it is quiet for a moment."""
    found: list[Message] = []
    while (message := socket.receive(_QUIET_S)) is not None:
        found.append(message)
    return found


def _hear_out(socket: RawSocket) -> list[Message]:
    """What comes until the server closes the connection, which it has to."""
    found: list[Message] = []
    while (message := socket.receive()) is not None:
        found.append(message)
    _must(socket.closed, "the connection was not closed")
    return found


def _end(socket: RawSocket, dice: Random, *, complete: bool = True) -> list[Message]:
    """End a conversation, nicely or not. After an incomplete frame the server cannot see what is said."""
    way = dice.randrange(6)
    if way == 0:
        socket.reset()
    elif way == 1:
        socket.send(frame(TEXT, b'{"type": "ping"}' * 50)[: dice.randrange(1, 600)])
        socket.reset()
    elif way == 2:
        socket.half_close()
        return _hear_out(socket)
    elif way == 3:
        return _hear(socket)
    else:
        socket.send(close_frame(1000))
        return _hear_out(socket) if way == 5 and complete else _hear(socket)
    return []


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise RuntimeError(what)
