"""Servers with accounts, and what a client does to sign in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Protocol

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from tests.contracts.harness import Tree, TrialServer

KEY: Final = "Zk3p_0dL9vQ2xW7zTtbF8sN1cRq5Hm6JgKe4"
"""Signs the tokens of test servers."""
PASSWORD: Final = "correct horse &+% ü battery"
CHEAP: Final[Tree] = {"hash_memory_kib": 8192, "hash_rounds": 1, "hash_lanes": 1}
"""Hashing that takes a few milliseconds."""


def accounts(session: Tree | None = None, **options: Any) -> Tree:
    """A configuration: accounts before a door for text and one for calls, and a second one for text."""
    plenty = {"registrations_per_hour": 1_000_000, "failures": 1_000_000}
    return {
        "session": session or {"use": "memory", "options": None},
        "auth": {"people": {"use": "accounts", "options": {"secret_key": KEY, **CHEAP, **plenty, **options}}},
        "transport": [
            {"use": "relay_chat", "auth": "people"},
            {"use": "voice_socket", "auth": "people"},
            {"use": "relay_chat", "mount": "/two", "auth": "people"},
        ],
    }


class Service(Protocol):
    """One server, or several behind one address."""

    @property
    def client(self) -> httpx.Client:
        """Asks it."""
        ...


def register(server: Service, email: str = "ann@example.com", password: str = PASSWORD) -> httpx.Response:
    """Open an account."""
    return server.client.post("/register", json={"email": email, "password": password})


def log_in(server: Service, email: str = "ann@example.com", password: str = PASSWORD) -> httpx.Response:
    """Sign in, as a form."""
    return server.client.post("/token", data={"username": email, "password": password})


def signed_in(server: Service, email: str) -> tuple[str, dict[str, str]]:
    """Open an account and sign in; gives the user's id and the header that proves it."""
    user: str = register(server, email).raise_for_status().json()["id"]
    return user, bearer(log_in(server, email).raise_for_status().json()["access_token"])


def chat_as(
    server: TrialServer, user: str, headers: Mapping[str, str] | None = None, path: str = "/chat"
) -> httpx.Response:
    """Post a message as a user."""
    form = {"message": "Hello", "type": "text", "sessionId": "s", "userId": user, "username": "A"}
    return server.client.post(path, data=form, headers=headers)


def bearer(token: str) -> dict[str, str]:
    """The header of a token."""
    return {"Authorization": f"Bearer {token}"}


@contextmanager
def voice_socket(
    server: TrialServer,
    *,
    token: str | None = None,
    headers: Mapping[str, str] | None = None,
    origin: str | None = None,
) -> Iterator[ClientConnection]:
    """A WebSocket to the door for calls, as a browser opens it: the token is a subprotocol."""
    offered = [Subprotocol("jackfield.bearer"), Subprotocol(token)] if token else None
    with connect(
        server.url.replace("http", "ws") + "/voice",
        subprotocols=offered,
        additional_headers=headers,
        origin=Origin(origin) if origin else None,
        proxy=None,
    ) as socket:
        yield socket


def outcome(socket: ClientConnection) -> int | str:
    """Begin a call: the first message's type when there is one, else the code that closes the socket."""
    try:
        socket.send('{"type": "start", "audio_in": null}')
        first = str(socket.recv(timeout=5))
        if '"error"' not in first:
            return "open"
        socket.recv(timeout=5)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 0
    return "open after an error"
