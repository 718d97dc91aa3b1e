"""A device of a PiChat user: a WebSocket, frames out, frames in."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Final, Self

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.contracts.harness import ServerFactory, Tree, TrialServer
from tests.server_process import ServerProcess

DEFAULT_TOKEN: Final = "pichat-token-of-the-default-user"
ANN_TOKEN: Final = "pichat-token-of-ann-and-no-other"
UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")

CONFIG: Final[Tree] = {
    "llm": {"named": {"gpt-3.5-turbo": {"use": "echo", "options": {"prefix": "The small one says: "}}}},
    "session": {"use": "memory", "options": {"folder": None}},
    "transport": [{"use": "pichat", "auth": "devices"}],
    "auth": {
        "devices": {"use": "api_token", "options": {"token": DEFAULT_TOKEN, "tokens": {"ann": ANN_TOKEN}}}
    },
    "extension": None,
}
"""Laid over the trial configuration: two users; the trial model is `gpt-4`, having no section of its own."""


def pichat(**changes: Any) -> Tree:
    """That configuration with changes. None in it takes away what trial servers have."""
    return _changed(CONFIG, changes)


def _changed(under: Tree, over: Tree) -> Tree:
    result = dict(under)
    for key, value in over.items():
        old = result.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        result[key] = _changed(result[key], value) if both else value
    return result


class Device:
    """An open socket. A context manager."""

    def __init__(self, server: ServerProcess, token: str | None = DEFAULT_TOKEN, mount: str = "") -> None:
        self._url = server.url.replace("http", "ws", 1) + f"{mount}/ws"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        opening = connect(
            self._url, additional_headers=self._headers, max_size=None, proxy=None, open_timeout=20
        )
        self._socket = self._stack.enter_context(opening)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._stack.close()

    def send(self, action: str, payload: Any = None, **more: Any) -> None:
        """Send a frame; without a payload the frame has none."""
        given = {} if payload is None else {"payload": payload}
        self._socket.send(json.dumps({"action": action, **given, **more}))

    def send_raw(self, data: str | bytes) -> None:
        """Send something that need not be a frame."""
        self._socket.send(data)

    def next(self, timeout_s: float = 20.0) -> Tree:
        """Give the next frame."""
        frame: Tree = json.loads(self._socket.recv(timeout=timeout_s))
        return frame

    def ask(self, name: str, payload: Any = None, **more: Any) -> Tree:
        """Send a request and give the payload of the frame that comes next, which must answer it."""
        self.send(name, payload, **more)
        frame = self.next()
        assert frame["action"] != "error", frame
        answer: Tree = frame["payload"]
        return answer

    def refused(self, name: str, payload: Any = None, **more: Any) -> Tree:
        """Send a request and give the error that comes next."""
        self.send(name, payload, **more)
        frame = self.next()
        assert frame["action"] == "error", frame
        error: Tree = frame["payload"]
        return error

    def nothing_came(self) -> bool:
        """Whether nothing waits to be read: the answer to this ping is the next frame."""
        self.send("ping", request_id="nothing")
        return self.next() == {"action": "pong", "payload": {}, "request_id": "nothing"}

    def conversation(self, title: str = "Talk") -> str:
        """Start a conversation; gives its id."""
        found: str = self.ask("create_conversation", {"title": title})["conversation"]["id"]
        return found

    def say(self, conversation: str, content: str, **more: Any) -> tuple[Tree, Tree]:
        """Send a message and give the stored one and the answer."""
        self.send("send_message", {"conversation_id": conversation, "content": content, **more})
        question, answer = self.next(), self.next()
        assert (question["action"], answer["action"]) == ("message_created", "assistant_message")
        return question["payload"]["message"], answer["payload"]["message"]

    def close_code(self) -> int:
        """Wait until the server closes, and give its code."""
        with suppress(ConnectionClosed):
            for _ in self._socket:
                pass
        code = self._socket.protocol.close_code
        assert code is not None
        return int(code)


def started(start: ServerFactory, name: str = "pichat", **changes: Any) -> TrialServer:
    """Start a PiChat server, or give the one of that name."""
    return start(name, pichat(**changes))


def api(
    server: TrialServer, method: str, path: str, token: str = DEFAULT_TOKEN, **more: Any
) -> httpx.Response:
    """Ask a route under /api."""
    headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})}
    return server.client.request(method, f"/api{path}", headers=headers, **more)
