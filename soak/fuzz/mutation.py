"""Breaking what is right: values of JSON, messages, and frames. All of it follows from the dice alone."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random
from typing import Any, Final

from soak.fuzz.wire import BINARY, CLOSE, CONTINUATION, MASK, PING, PONG, TEXT, close_frame, frame

OWN_CODES: Final = (3000, 4999)
"""With these the fuzzer itself closes sockets, and the server says the same."""
_DEEP: Final = 20_000
_KIB: Final = 1024
ODD: Final[Sequence[object]] = [
    None,
    True,
    False,
    0,
    -1,
    1.5,
    1 << 31,
    1 << 53,
    1 << 64,
    -(1 << 64),
    10**300,
    1e308,
    math.nan,
    math.inf,
    -math.inf,
    "",
    " \t\r\n",
    "\x00",
    "a\x00b",
    "\ud800",
    "a\udfffb",
    "\u202eabc\u2066",
    "e" + "\u0301" * 40,
    "\U0001f600" * 10,
    "\ufeff",
    "null",
    "0",
    "../../etc/passwd",
    "'; DROP TABLE users; --",
    "%s%n{0}{username}${PATH}",
    "x" * 200,
    "x" * 5_000,
    "\u00e9" * 20_000,
    "\r\nX-Injected: yes",
    [],
    {},
    [[]],
    [None],
    {"": {"": {}}},
    {"type": "text"},
]
_WORDS: Final = ("type", "action", "event", "payload", "message", "id", "text", "format", "audio")
_NUMERALS: Final = (b"1e999", b"-1e-999", b"9" * 5_000, b"0." + b"1" * 2_000, b"-0", b"01", b"0x10", b"NaN")


def mutated(message: object, dice: Random) -> bytes:
    """Give a frame that stands for a message, with something wrong in what it says or how it is written."""
    return frame(*garbled(message, dice))


def garbled(message: object, dice: Random) -> tuple[int, bytes]:
    """Give what is in such a frame: whether it is text, and its bytes."""
    if isinstance(message, bytes):
        return dice.choice((BINARY, BINARY, TEXT)), _bent(message, dice)
    way = dice.randrange(10)
    if way < 6:
        value = copy.deepcopy(message)
        for _ in range(dice.choice((1, 1, 1, 2, 4))):
            value = _changed(value, dice)
        return TEXT, _written(value, dice)
    text = json.dumps(message).encode()
    if way == 6:
        return BINARY, text
    return TEXT, _bent(text, dice) if way == 7 else _rewritten(text, dice)


def _changed(value: Any, dice: Random) -> Any:
    """Change one place in a value of JSON."""
    if not isinstance(value, dict) or not value:
        return dice.choice(ODD)
    name = dice.choice(list(value))
    match dice.randrange(8):
        case 0:
            del value[name]
        case 1:
            value[dice.choice(_WORDS)] = dice.choice(ODD)
        case 2:
            value[f"{name}\u0000"] = value.pop(name)
        case 3:
            value[name] = [value[name]] * dice.choice((1, 2, 1_000))
        case 4 if isinstance(value[name], str):
            value[name] = _stretched(value[name], dice)
        case 5 if len(value) > 1:
            other = dice.choice(list(value))
            value[name], value[other] = value[other], value[name]
        case _:
            inner = value[name]
            deeper = isinstance(inner, dict) and inner and dice.random() < 0.8
            value[name] = _changed(inner, dice) if deeper else dice.choice(ODD)
    return value


def _stretched(text: str, dice: Random) -> str:
    at = dice.randrange(len(text) + 1)
    odd = dice.choice([each for each in ODD if isinstance(each, str)])
    return dice.choice((text[:at] + odd + text[at:], text * 3, text[:at], text.upper(), f" {text}\n"))


def _written(value: object, dice: Random) -> bytes:
    """Write JSON, now and then in an unusual way."""
    if dice.random() < 0.7:
        return json.dumps(value).encode()
    if dice.random() < 0.5:
        return json.dumps(value, ensure_ascii=False, indent=3).encode("utf-8", "surrogatepass")
    return b"\xef\xbb\xbf" + json.dumps(value).encode("utf-8")


def _rewritten(text: bytes, dice: Random) -> bytes:
    """Put something into the JSON text that a parser has to mind."""
    odd = (
        b"[" * _DEEP + b"]" * _DEEP,
        b'{"a":' * _DEEP + b"1" + b"}" * _DEEP,
        b"",
        b"null",
        b"{}",
        b"[1,2,3]",
        b'"text"',
        b"{" + text[1:-1] + b"," + text[1:],
        text[:-1] + b', "id": ' + dice.choice(_NUMERALS) + b"}",
        text[:-1] + b', "payload": {"limit": ' + dice.choice(_NUMERALS) + b"}}",
        text[:-1] + b', "seconds": ' + dice.choice(_NUMERALS) + b', "item": ' + dice.choice(_NUMERALS) + b"}",
        text.replace(b'"', b"'"),
        text + text,
        b" " * (70 * _KIB) + text,
        b'{"message": "' + b"a" * (70 * _KIB) + b'"}',
        text.replace(b": ", b": [") + b"]",
    )
    return dice.choice(odd)


def _bent(data: bytes, dice: Random) -> bytes:
    """Damage bytes."""
    bytes_ = bytearray(data)
    at = dice.randrange(len(bytes_) + 1)
    match dice.randrange(7):
        case 0:
            return bytes(bytes_[:at])
        case 1 if bytes_:
            for _ in range(dice.randint(1, 8)):
                bytes_[dice.randrange(len(bytes_))] = dice.randrange(256)
        case 2:
            bytes_[at:at] = dice.randbytes(dice.randint(1, 64))
        case 3:
            bytes_[at:at] = bytes_[:at]
        case 4:
            bytes_[at : at + 16] = b"\x00" * 16
        case 5:
            bytes_ += b"\xff"
        case _:
            return dice.randbytes(dice.randint(0, 2_000))
    return bytes(bytes_)


def fragmented(payload: bytes, opcode: int, dice: Random) -> bytes:
    """Cut a message into several frames, with pings and empty ones between."""
    cuts = sorted(dice.randrange(len(payload) + 1) for _ in range(dice.randint(1, 5)))
    edges = [0, *cuts, len(payload)]
    pieces = [payload[start:end] for start, end in pairwise(edges)]
    frames = [frame(opcode, pieces[0], fin=False)]
    for piece in pieces[1:-1]:
        frames.append(frame(CONTINUATION, piece, fin=False))
        if dice.random() < 0.5:
            frames.append(frame(PING, dice.randbytes(4)))
    frames.append(frame(CONTINUATION, pieces[-1]))
    return b"".join(frames)


def _torn(text: bytes, dice: Random) -> bytes:
    whole = frame(TEXT, text)
    return whole[: dice.randrange(1, len(whole))]


Violation = Callable[[bytes, Random], bytes]
"""From the JSON of a message to bytes that no client may send."""

VIOLATIONS: Final[Sequence[Violation]] = [
    lambda text, dice: frame(TEXT, text, masked=False),
    lambda text, dice: frame(TEXT, text, rsv=dice.randint(1, 7)),
    lambda text, dice: frame(dice.choice((3, 4, 5, 6, 7, 0xB, 0xC, 0xF)), text),
    lambda text, dice: frame(CONTINUATION, text),
    lambda text, dice: frame(TEXT, text, fin=False) + frame(TEXT, text),
    lambda text, dice: frame(dice.choice((PING, PONG, CLOSE)), b"x" * 126),
    lambda text, dice: frame(dice.choice((PING, CLOSE)), b"xx", fin=False),
    lambda text, dice: frame(CLOSE, b"\x03"),
    lambda text, dice: close_frame(dice.choice((0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535))),
    lambda text, dice: close_frame(1000, b"\xff\xfe"),
    lambda text, dice: close_frame(dice.choice((1000, 1001, *OWN_CODES)), text[:100]) + frame(TEXT, text),
    lambda text, dice: frame(TEXT, b'{"message": "' + b"\xff\xfe\xed\xa0\x80" + b'"}'),
    lambda text, dice: fragmented(b'{"message": "\xf0\x9f\x98"}', TEXT, dice),
    lambda text, dice: frame(
        TEXT, b"", claimed=dice.choice((1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1))
    ),
    lambda text, dice: frame(TEXT, b"x", claimed=18 << 20),
    lambda text, dice: frame(TEXT, b"{" + b" " * (1 << 20) + b"}"),
    lambda text, dice: bytes([0x81, 0xFE, 0, 5]) + MASK + b"short",
    _torn,
    lambda text, dice: dice.randbytes(dice.randint(1, 200)),
    lambda text, dice: b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    lambda text, dice: frame(PING, b"") * 200 + frame(PONG, b"nobody asked") * 200,
    lambda text, dice: frame(TEXT, b"", fin=False) + frame(CONTINUATION, b"", fin=False) * 300,
]
