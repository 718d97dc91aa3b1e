"""A chat page for tests: it talks to a chat app over real sockets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, Self

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.contracts.harness import Tree, TrialServer

WAIT_S: Final = 8.0
QUIET_S: Final = 0.25
"""After so long nothing more comes that was to come at once."""
METER: Final[Tree] = {
    "llm": {"use": "trial_meter"},
    "session": {"use": "memory", "options": None},
    "extension": [{"use": "trial_tools"}],
    "transport": [{"use": "chat_app"}],
}
"""A chat app over the model with known figures."""


class Page:
    """An open WebSocket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def send(self, **frame: Any) -> Self:
        """Send a frame."""
        self.socket.send(json.dumps(frame))
        return self

    def receive(self, timeout_s: float = WAIT_S) -> Tree:
        """Give the next event."""
        event: Tree = json.loads(self.socket.recv(timeout_s))
        return event

    def events(self, *names: str) -> list[Tree]:
        """Give as many events as there are names, which must be theirs."""
        found = [self.receive() for _ in names]
        assert [event["event"] for event in found] == list(names), found
        return found

    def say(self, message: str, **fields: Any) -> tuple[Tree, Tree, Tree]:
        """Send a message and give the answer, the figures and the history that come back."""
        self.send(event="user_message", message=message, **fields)
        answer, status, history = self.events("ai_response", "backend_status", "chat_history")
        return answer, status, history

    def error(self, code: str) -> Tree:
        """Give the next event, an error of this code."""
        (event,) = self.events("error")
        assert event["code"] == code, event
        assert event["detail"]
        assert "secret-123" not in json.dumps(event)
        return event

    def quiet(self) -> bool:
        """Whether nothing comes for a moment, and the server is still there."""
        with suppress(TimeoutError):
            raise AssertionError(f"Unexpected: {self.receive(QUIET_S)}")
        return self.send(event="ping").receive() == {"event": "pong"}

    def end(self) -> tuple[list[str], int]:
        """Codes of the errors that come before the socket is closed, and the close code."""
        codes: list[str] = []
        with suppress(ConnectionClosed):
            while True:
                codes.append(self.receive()["code"])
        assert self.socket.close_code is not None
        return codes, self.socket.close_code


@contextmanager
def page(server: TrialServer, chat_id: str | None = None, token: str | None = None) -> Iterator[Page]:
    """A page that is open, perhaps on a chat, perhaps signed in."""
    url = httpx.URL(server.url).copy_with(scheme="ws", path="/ws/chat")
    if chat_id is not None:
        url = url.copy_merge_params({"chat_id": chat_id})
    headers = {"Authorization": f"Bearer {token}"} if token else None
    with connect(str(url), additional_headers=headers, close_timeout=2) as socket:
        yield Page(socket)


def contents(event: Tree) -> list[str]:
    """The messages of a history, or of a chat."""
    return [message["content"] for message in event["messages"]]


def stats(server: TrialServer) -> Tree:
    """The figures of a server."""
    found: Tree = server.client.get("/stats").raise_for_status().json()
    return found


def generate(server: TrialServer, message: str, **fields: Any) -> Tree:
    """Send a message without a WebSocket."""
    answer: Tree = (
        server.client.post("/generate", json={"message": message, **fields}).raise_for_status().json()
    )
    return answer
