"""Fuzzing HTTP below what any library would send: request lines, headers and bodies that are broken."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from random import Random
from typing import Final

from soak.fuzz.findings import Findings
from soak.fuzz.house import House

_AT_ONCE: Final = 4
_ANSWER_S: Final = 0.4
"""So long an answer is waited for that need not come: what was sent may be incomplete."""
_RESET: Final = struct.pack("ii", 1, 0)
_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
_FORM: Final = b"message=Hi&type=text&sessionId=s&userId=u&username=n"
_PARTS: Final = b"".join(
    b'--edge\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % tuple(field.split(b"="))
    for field in _FORM.split(b"&")
)
_TARGETS: Final[Sequence[tuple[bytes, bytes, bytes, bytes]]] = [
    (b"POST", b"/relay/chat", b"application/x-www-form-urlencoded", _FORM),
    (b"POST", b"/relay/chat", b"multipart/form-data; boundary=edge", _PARTS + b"--edge--\r\n"),
    (b"POST", b"/proxy/chat", b"multipart/form-data; boundary=edge", _PARTS + b"--edge--\r\n"),
    (b"POST", b"/relay/sessions/s/refresh", b"application/x-www-form-urlencoded", b"userId=u"),
    (b"POST", b"/chat/generate", b"application/json", b'{"message": "Hi", "stream": true}'),
    (b"POST", b"/pi/api/conversations", b"application/json", b'{"title": "T"}'),
    (b"PATCH", b"/pi/api/settings", b"application/json", b'{"selected_model": "gpt-4"}'),
    (
        b"POST",
        b"/relay-people/token",
        b"application/x-www-form-urlencoded",
        b"username=a@b.cc&password=12345678",
    ),
    (b"POST", b"/relay-people/register", b"application/json", b'{"email": "a@b.cc", "password": "12345678"}'),
    (b"POST", b"/relay-wallets/auth/verify", b"application/json", b'{"message": "x", "signature": "0x00"}'),
    (b"GET", b"/relay/audio/response_x.mp3", b"text/plain", b""),
    (b"GET", b"/chat/chats?limit=5&cursor=x", b"text/plain", b""),
    (
        b"POST",
        b"/speech/realtime/signal",
        b"application/json",
        b'{"session_id": "rs_1", "client_secret": "x"}',
    ),
    (b"DELETE", b"/speech/realtime/session/rs_1", b"text/plain", b""),
    (
        b"POST",
        b"/speech/incoming-call/default",
        b"application/x-www-form-urlencoded",
        b"CallSid=CA1&From=%2B14158675309",
    ),
    (b"GET", b"/console/main.js", b"text/plain", b""),
    (b"GET", b"/health", b"text/plain", b""),
]
_PATHS: Final = (
    b"/",
    b"*",
    b"//",
    b"/%00",
    b"/%",
    b"/%ff%fe",
    b"/..%2f..%2fetc/passwd",
    b"/chat/chat/%00",
    b"/console/..%2f__init__.py",
    b"/console/%00",
    b"/speech/realtime/session?scenario_id=%00",
    b"\xc3\xa9",
    b"http://elsewhere/health",
    b"/pi/api/conversations/%ud800",
    b"/relay/audio/..%2f..%2fhouse.db",
    b"/a" * 4_000,
    b"/" + b"a" * 70_000,
    b"/chat/chats?limit=%ff",
    b"/chat/chats?cursor=%00",
    b"/relay/audio/%0d%0a",
    b"/chat/chats?limit=" + b"9" * 5_000,
    b"/pi/api/conversations?limit=1e9",
    b"/\xff\xfe",
    b"/a b",
)
_HEADERS: Final = (
    b"Content-Length: -1",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: 5, 6",
    b"Content-Length: x",
    b"Content-Length: 0x10",
    b"Content-Length: 18446744073709551616",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: 3",
    b"Host: a\r\nHost: b",
    b"Host:",
    b"No-Colon",
    b": empty",
    b"X-Long: " + b"a" * 60_000,
    b"X-Folded: a\r\n b",
    b"X-Nul: a\x00b",
    b"X-Bytes: \xff\xfe\x80",
    b"Na me: x",
    b"X-Request-Id: a\rb",
    b"X-Request-Id: " + b"\xe9" * 10,
    b"X-Forwarded-For: x, ,\xff",
    b"X-Forwarded-Proto: \xff",
    b"Cookie: =;;\xff=\x01; access_token",
    b"Authorization: Bearer \xff",
    b"Range: bytes=9999999999999999999-",
    b"Range: bytes=-0",
    b"If-None-Match: \xff",
    b"Expect: 100-continue",
    b"Expect: something",
    b"Connection: \xff",
    b"Origin: \xff",
    b"Upgrade: websocket\r\nConnection: upgrade",
    b"Upgrade: h2c\r\nConnection: upgrade",
    b"Accept-Encoding: \xff",
    b"Content-Type: multipart/form-data; boundary=" + b"a" * 5_000,
    b"Content-Type:",
    b"Content-Type: multipart/form-data; boundary=\xff\xfe",
    b'Content-Type: application/json; charset="\xff"',
    b"\r\n".join(b"X-%d: a" % number for number in range(300)),
)
_TYPES: Final = (
    b"application/json",
    b"multipart/form-data; boundary=edge",
    b"application/x-www-form-urlencoded",
)
_BODIES: Final = (
    b"",
    b"null",
    b"[]",
    b"{",
    b"\xff\xfe",
    b'{"a":' * 5_000,
    b"[" * 100_000,
    b'{"message": 1e400}',
    b"NaN",
    b'{"message": "\\ud800", "title": "\\ud800", "email": "\\ud800@b.cc", "password": "\\udfff1234567"}',
    b'{"message": "\\u0000", "title": "\\u0000", "chat_id": "\\u0000", "selected_model": "\\u0000"}',
    b"--edge",
    b"--edge\r\n\r\n\r\n--edge--",
    b"--edge\r\nContent-Disposition: form-data\r\n\r\n\r\n--edge--\r\n",
    b'--edge\r\nContent-Disposition: form-data; name="\xff\xfe"; filename="\x00"\r\n\r\nx\r\n--edge--\r\n',
    b"--edge\r\n" + b"X: y\r\n" * 2_000 + b"\r\nx\r\n--edge--\r\n",
    b'--edge\r\nContent-Disposition: form-data; name="message"\r\n\r\nx\r\n' * 200 + b"--edge--\r\n",
    b"&" * 1_000,
    b"a=b&" * 1_000,
    b"message=%",
    b"message=%ff%fe&type=%00",
    b"userId=%ed%a0%80",
    b"%" * 500,
)


def fuzz_requests(house: House, seed: int, cases: range, findings: Findings) -> None:
    """Send broken requests; the same number of the same seed is the same request."""

    def run(number: int) -> None:
        dice = Random(f"{seed}-{number}")
        act = dice.choice(_ACTS)
        findings.counts[act.__name__.strip("_")] += 1
        for status in _statuses(act(house.port, dice)):
            findings.counts[f"answered {status}"] += 1
            if status >= 500:
                findings.wrong.append(f"request {number} of seed {seed}, {act.__name__}: answered {status}")

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(run, cases))


def _statuses(answer: bytes) -> list[int]:
    return [int(status) for status in _STATUS.findall(answer)]


def _request(
    method: bytes, path: bytes, headers: Sequence[bytes], body: bytes, version: bytes = b"1.1"
) -> bytes:
    return b"\r\n".join([b"%s %s HTTP/%s" % (method, path, version), b"Host: x", *headers, b"", body])


def _good(dice: Random) -> tuple[bytes, bytes, list[bytes], bytes]:
    method, path, kind, body = dice.choice(_TARGETS)
    return method, path, [b"Content-Type: " + kind, b"Content-Length: %d" % len(body)], body


def _garbled(port: int, dice: Random) -> bytes:
    """A request with some bytes changed."""
    data = bytearray(_request(*_good(dice)))
    for _ in range(dice.randint(1, 6)):
        at = dice.randrange(len(data))
        match dice.randrange(3):
            case 0:
                data[at] = dice.randrange(256)
            case 1:
                data[at:at] = dice.randbytes(dice.randint(1, 8))
            case _:
                del data[at : at + dice.randint(1, 8)]
    return _sent(port, bytes(data), dice)


def _misheaded(port: int, dice: Random) -> bytes:
    """Odd headers, methods, paths and versions."""
    method, path, headers, body = _good(dice)
    headers = headers if dice.random() < 0.5 else headers[:1]
    headers.insert(dice.randrange(len(headers) + 1), dice.choice(_HEADERS))
    if dice.random() < 0.3:
        path = dice.choice(_PATHS)
    if dice.random() < 0.2:
        method = dice.choice(
            (b"BREW", b"CONNECT", b"TRACE", b"OPTIONS", b"HEAD", b"get", b"M" * 5_000, b"\xff", b"")
        )
    version = dice.choice((b"1.1", b"1.1", b"1.1", b"1.0", b"2.0", b"9", b"1.1\x00"))
    return _sent(port, _request(method, path, headers, body, version), dice)


def _misbodied(port: int, dice: Random) -> bytes:
    """A body that is not what the route takes."""
    method, path, _, body = dice.choice(_TARGETS)
    body = dice.choice((*_BODIES, body + body, body[: len(body) // 2]))
    return _sent(
        port, _request(method, path, [b"Content-Type: " + dice.choice(_TYPES), _length(body)], body), dice
    )


def _chunked(port: int, dice: Random) -> bytes:
    """A body in chunks, with something wrong about them."""
    method, path, headers, body = _good(dice)
    half = len(body) // 2
    good = b"%x\r\n%s\r\n%x\r\n%s\r\n" % (half, body[:half], len(body) - half, body[half:])
    ends = (
        b"0\r\n\r\n",
        b"",
        b"0\r\n",
        b"-1\r\n",
        b"zz\r\n\r\n",
        b"fffffffffffffffffff\r\nx",
        b"5\r\nabc",
        b"0;x=\xff\r\n\r\n",
    )
    data = _request(method, path, [headers[0], b"Transfer-Encoding: chunked"], good + dice.choice(ends))
    return _sent(port, data, dice)


def _pipelined(port: int, dice: Random) -> bytes:
    """Several requests at once, the last perhaps broken."""
    whole = b"".join(_request(*_good(dice)) for _ in range(dice.randint(2, 8)))
    return _sent(
        port, whole + dice.choice((b"", b"GARBAGE\r\n\r\n", b"\x16\x03\x01\x02\x00", b"GET / HTT")), dice
    )


def _miscounted(port: int, dice: Random) -> bytes:
    """A body that is longer or shorter than its headers say."""
    method, path, headers, body = _good(dice)
    told = max(0, len(body) + dice.choice((-5, -1, 1, 5, 5_000, 50 << 20)))
    return _sent(port, _request(method, path, [headers[0], b"Content-Length: %d" % told], body), dice)


def _length(body: bytes) -> bytes:
    return b"Content-Length: %d" % len(body)


_ACTS: Final[Sequence[Callable[[int, Random], bytes]]] = [
    _garbled,
    _misheaded,
    _misbodied,
    _chunked,
    _pipelined,
    _miscounted,
]


def _sent(port: int, data: bytes, dice: Random) -> bytes:
    """Send bytes, in pieces or at once, and give what is answered; the connection may end in several ways."""
    answer = bytearray()
    with socket.create_connection(("127.0.0.1", port), 5) as connection, suppress(OSError):
        cut = dice.randrange(len(data) + 1) if dice.random() < 0.3 else len(data)
        connection.sendall(data[:cut])
        if dice.random() < 0.1:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            return b""
        connection.sendall(data[cut:])
        if dice.random() < 0.5:
            connection.shutdown(socket.SHUT_WR)
        connection.settimeout(_ANSWER_S)
        while (piece := connection.recv(65536)) and len(answer) < 1 << 20:
            answer += piece
            connection.settimeout(0.05)
    return bytes(answer)
