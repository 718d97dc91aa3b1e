"""WebSockets of users, open for a while: what they say, and everything that they are told meanwhile."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from socket import SHUT_RDWR
from typing import Final

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.acceptance.isolation.people import Actor, Door, Marks
from tests.contracts.harness import Tree, TrialServer

_WAIT_S: Final = 20.0
PATHS: Final[dict[Door, str]] = {"chat": "/ws/chat", "pichat": "/ws"}


def address(server: TrialServer, actor: Actor, door: Door) -> str:
    """Where a user's WebSocket is."""
    base = server.url.replace("http", "ws", 1) + actor.doors[door]
    return f"{base}/ws/{actor.user_id}" if door == "proxy" else base + PATHS[door]


class Page:
    """An open socket of a user. Every frame is checked for texts of others."""

    def __init__(self, server: TrialServer, actor: Actor, door: Door, marks: Marks, query: str = "") -> None:
        self.actor = actor
        self.door = door
        self._marks = marks
        self._asked = 0
        opening = connect(
            address(server, actor, door) + query,
            additional_headers=actor.headers,
            proxy=None,
            open_timeout=_WAIT_S,
            close_timeout=1,
            max_size=None,
        )
        self._stack = ExitStack()
        self._socket: ClientConnection = self._stack.enter_context(opening)

    def close(self) -> None:
        """Leave."""
        self._stack.close()

    def vanish(self) -> None:
        """Leave as a client does whose power fails."""
        self._socket.socket.shutdown(SHUT_RDWR)
        self._stack.close()

    def receive(self, timeout_s: float = _WAIT_S) -> Tree:
        """The next frame."""
        text = self._socket.recv(timeout=timeout_s)
        assert isinstance(text, str)
        frame: Tree = json.loads(self._marks.check(self.actor, text))
        return frame

    def drain(self) -> bool:
        """Read what has come; False when the server is gone."""
        try:
            while True:
                self.receive(0)
        except TimeoutError:
            return True
        except ConnectionClosed:
            return False

    def send(self, **frame: object) -> str:
        """Send a frame with an id of its own; gives the id."""
        self._asked += 1
        id = f"frame-{self._asked}"  # noqa: A001  # the field's name
        self._socket.send(json.dumps({**frame, ("request_id" if self.door == "pichat" else "id"): id}))
        return id

    def answer(self, id: str, *kinds: str) -> Tree:  # noqa: A002  # the field's name
        """Wait for a frame that answers one of this id and is of one of these kinds, if any are named."""
        deadline_s = time.monotonic() + _WAIT_S
        while True:
            frame = self.receive(max(0.0, deadline_s - time.monotonic()))
            kind = frame.get("event") or frame.get("action") or frame.get("type")
            if id in (frame.get("id"), frame.get("request_id")) and (not kinds or kind in kinds):
                return frame
