"""Services with the API of OpenAI that fail in the ways that services do, on real sockets."""

from __future__ import annotations

import json
import re
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Final, Literal, Self

Outage = Literal["refuses", "hangs", "stalls", "cuts", "works"]
OUTAGES: Final[tuple[Outage, ...]] = ("refuses", "hangs", "stalls", "cuts")
ANSWER: Final = "Here is the answer of the other one, all of it to the last word."
_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


class FailingService:
    """A language model's service. A context manager: inside it there is something, or nothing, at `url`.

    refuses: nobody listens. hangs: it takes the connection and says nothing. stalls: it begins to answer, and
    falls silent before the first word. cuts: it begins to answer, and hangs up before the first word.
    """

    def __init__(self, outage: Outage) -> None:
        self.outage: Outage = outage
        self.connections = 0
        """Answers that it was asked for."""
        self.left = threading.Event()
        """Somebody whom it let wait has hung up."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._address = self._listener.getsockname()
        self._open: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._address[1]}/v1"

    def __enter__(self) -> Self:
        self._begin()
        return self

    def become(self, outage: Outage) -> None:
        """Fail in another way from now on, or work."""
        if self.outage == "refuses":
            self._listener = socket.create_server(self._address)
        self.outage = outage
        self._begin()

    def _begin(self) -> None:
        if self.outage == "refuses":
            self._end()
        else:
            threading.Thread(target=self._listen, args=[self._listener], daemon=True).start()

    def _end(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._end()
        for connection in self._open:
            connection.close()

    def _listen(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                self._open.append(connection)
                threading.Thread(target=self._answer, args=[connection], daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            _read_request(connection)
            self.connections += 1
            if self.outage != "hangs":
                connection.sendall(_HEAD + _event({"role": "assistant", "content": ""}))
            if self.outage == "works":
                for word in ANSWER.split(" "):
                    connection.sendall(_event({"content": f"{word} "}))
                connection.sendall(_event({}, "stop") + b"data: [DONE]\n\n")
            elif self.outage != "cuts":
                while connection.recv(65536):
                    pass
                self.left.set()


def _read_request(connection: socket.socket) -> None:
    """Read all of it: a connection that is closed before takes back what was sent."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536) or b"\r\n\r\n"
    head, _, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    while length and len(body) < int(length[1]):
        body += connection.recv(65536) or bytes(int(length[1]))


def _event(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    chunk = {
        "id": "1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "other",
        "choices": [choice],
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"
