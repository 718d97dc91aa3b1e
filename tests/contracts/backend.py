"""A chat server of somebody else's making, which takes the form, and does whatever a test wants."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from tests.contracts.harness import ServerFactory, Tree, TrialServer

PROBE_S: Final = 0.25


@dataclass
class Seen:
    """A message as it arrived: its fields, the recording's name, type and bytes, and the headers."""

    fields: dict[str, str]
    audio: tuple[str, str, bytes] | None
    headers: dict[str, str]
    path: str


@dataclass
class Reply:
    """What is answered; `body` is JSON unless it is bytes. `delay_s` before a word is said."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    hangs_up: bool = False


class Backend(ThreadingHTTPServer):
    """The server, on a port of its own. A context manager."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.stopped = False
        self._connections: list[socket.socket] = []
        self.seen: list[Seen] = []
        self.got: list[str] = []
        self.health = Reply(body={"status": "healthy", "service": "third-party"})
        self.chat: Callable[[Seen], Reply] = echoed
        self.files: dict[str, bytes] = {}

    def __enter__(self) -> Backend:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Be gone: connections that are open are closed, too."""
        if self.stopped:
            return
        self.stopped = True
        self.shutdown()
        self.server_close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection, and remember it."""
        connection, address = super().get_request()
        self._connections.append(connection)
        return connection, address

    @contextmanager
    def answering(self, reply: Reply | Callable[[Seen], Reply]) -> Iterator[None]:
        """Answer messages so inside the block."""
        before = self.chat
        self.chat = reply if callable(reply) else lambda _seen: reply
        try:
            yield
        finally:
            self.chat = before


def echoed(seen: Seen) -> Reply:
    """Answer a message with itself."""
    return Reply(body={"message": f"third party: {seen.fields['message']}", "type": "text", "extra": 1})


class _Handler(BaseHTTPRequestHandler):
    server: Backend
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are written apart, and the second would wait

    def do_GET(self) -> None:
        self.server.got.append(self.path)
        if self.path.endswith("/health"):
            self._send(self.server.health)
        elif self.path in self.server.files:
            self._send(Reply(body=self.server.files[self.path]))
        else:
            self._send(Reply(404, {"detail": "nothing"}))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        whole = message_from_bytes(f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode() + body)
        parts = [part for part in whole.walk() if not part.is_multipart()]
        sound = [part for part in parts if _name(part) == "audio"]
        seen = Seen(
            {_name(part): _bytes(part).decode() for part in parts if part not in sound},
            (_filename(body), sound[0].get_content_type(), _bytes(sound[0])) if sound else None,
            {name.lower(): value for name, value in self.headers.items()},
            self.path,
        )
        self.server.seen.append(seen)
        self._send(self.server.chat(seen))

    def _send(self, reply: Reply) -> None:
        time.sleep(reply.delay_s)
        if reply.hangs_up or self.server.stopped:
            self.close_connection = True
            return
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        try:
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:  # the proxy has given up
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library names it
        """Say nothing."""


def _name(part: Message) -> str:
    return str(part.get_param("name", header="content-disposition"))


def _filename(body: bytes) -> str:
    """As it stands: the library does not take UTF-8."""
    found = re.search(rb'filename="((?:[^"\\]|\\.)*)"', body)
    return found[1].decode().replace('\\"', '"') if found else ""


def _bytes(part: Message) -> bytes:
    data = part.get_payload(decode=True)
    assert isinstance(data, bytes)
    return data


def proxy_config(url: str, config: Tree | None = None, **options: Any) -> Tree:
    """A proxy before a backend, asked for its health often; `options` are laid over, `config` too."""
    backend = {"url": url, "probe_interval_s": PROBE_S, **options.pop("backend", {})}
    door = {"use": "smart_proxy", "options": {"backend": backend, **options}}
    memory = {"use": "memory", "options": None}
    return {"session": memory, "transport": [door], **(config or {})}


def before(upstream: Backend, start: ServerFactory, name: str, **options: Any) -> TrialServer:
    """A proxy before a backend, once it has found it."""
    server = start(name, proxy_config(upstream.url, **options))
    await_backend(server)
    return server


def is_there(server: TrialServer) -> bool:
    """Whether a proxy says that its backend is there."""
    there: bool = server.client.get("/health").json()["backend_client"]["available"]
    return there


def await_backend(server: TrialServer, *, there: bool = True, within_s: float = 5.0) -> float:
    """Wait until a proxy's messages go to the backend, or no longer; gives the seconds that it took."""
    began_s = time.monotonic()
    wanted = "upstream" if there else "fallback"
    while server.chat().headers["x-jackfield-source"] != wanted:
        assert time.monotonic() - began_s < within_s, f"messages are not answered by the {wanted}"
        time.sleep(0.02)
    return time.monotonic() - began_s
