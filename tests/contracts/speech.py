"""Servers with the door speech_assistant, and what its clients do."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final, Self

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.balancer import Balancer
from tests.contracts.harness import Tree, TrialServer, merged
from tests.contracts.sign_in import accounts, signed_in
from tests.redis_server import RedisServer
from tests.server_process import ServerProcess
from tests.transports.browser import Browser

PITCH_HZ: Final = 440
"""Of the voice of these servers."""
SIZES: Final = ("one server", "two behind a balancer")
"""What tests run over."""
_PEOPLE: Final = count()
OFFER: Final = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
"""An offer without sound."""


def speaking(session: Tree | None = None, config: Tree | None = None, **options: Any) -> Tree:
    """A configuration: accounts before a speech assistant whose parts need no model."""
    door = {"use": "speech_assistant", "auth": "people", "options": options}
    parts: Tree = {
        "tts": {"use": "tone", "options": {"folder": None, "frequency_hz": PITCH_HZ, "character_ms": 20}},
        "vad": {"use": "trial"},
        "scenarios": {"quiz_night": {"title": "Quiz night", "instructions": "You ask riddles."}},
        "transport": [door],
    }
    return merged(merged(accounts(session), parts), config or {})


class Replicas:
    """One server, or several over one store behind a balancer. A context manager."""

    def __init__(self, servers: Sequence[TrialServer], url: str) -> None:
        self.servers = servers
        self.url = url
        """Where clients ask."""
        self.client = httpx.Client(base_url=url, timeout=60, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def output(self) -> str:
        """What all of them logged."""
        return "".join(server.output() for server in self.servers)

    @contextmanager
    def noting(self, part: str) -> Iterator[list[Tree]]:
        """A list that, after the block, holds what happened to a plugin of any of them."""
        notes: list[Tree] = []
        with ExitStack() as stack:
            each = [stack.enter_context(server.noting(part)) for server in self.servers]
            yield notes
        notes += [note for found in each for note in found]


@contextmanager
def replicas(folder: Path, redis: RedisServer, **options: Any) -> Iterator[Replicas]:
    """Start two servers with a speech assistant behind a balancer: sessions in Redis, accounts in SQL."""
    records = {"use": "sql", "options": {"url": f"sqlite:///{folder}/people.db"}}
    stores = {"use": "redis", "options": {"folder": None, "url": redis.url}, "records": records}
    config = speaking(stores, **options)
    with ExitStack() as stack:
        servers = [stack.enter_context(TrialServer(folder / f"{each}", config)) for each in range(2)]
        ports = [httpx.URL(server.url).port or 0 for server in servers]
        balancer = stack.enter_context(Balancer(folder / "balancer", ports))
        yield stack.enter_context(Replicas(servers, balancer.url))
        for server in servers:
            server.terminate()


@contextmanager
def alone(folder: Path, **options: Any) -> Iterator[Replicas]:
    """Start one server with a speech assistant, which keeps everything in memory."""
    with TrialServer(folder, speaking(**options)) as server, Replicas([server], server.url) as one:
        yield one


Service = ServerProcess | Replicas


def newcomer(server: Service) -> Mapping[str, str]:
    """Open an account and sign in; gives the header that proves it."""
    return signed_in(server, f"user{next(_PEOPLE)}@example.com")[1]


def new_session(server: Service, headers: Mapping[str, str], **query: str) -> Tree:
    """Make a session."""
    response = server.client.get("/realtime/session", params=query, headers=headers)
    session: Tree = response.raise_for_status().json()
    return session


def signal(server: Service, headers: Mapping[str, str], session: Tree, **changes: Any) -> httpx.Response:
    """Send an offer; `changes` are fields of the body."""
    body = {"session_id": session["session_id"], "client_secret": session["client_secret"], "sdp": OFFER}
    return server.client.post("/realtime/signal", json={**body, **changes}, headers=headers)


def end(server: Service, headers: Mapping[str, str], session: Tree) -> httpx.Response:
    """End a session."""
    return server.client.delete(f"/realtime/session/{session['session_id']}", headers=headers)


@contextmanager
def ended(server: Service, headers: Mapping[str, str], *sessions: Tree) -> Iterator[None]:
    """The sessions are over after the block, and their user may have others."""
    try:
        yield
    finally:
        for session in sessions:
            assert end(server, headers, session).status_code in (204, 404)


@asynccontextmanager
async def talking(
    server: Service, headers: Mapping[str, str], session: Tree, browser: Browser, **offer: bool
) -> AsyncIterator[httpx.Response]:
    """A browser that holds the session's call; gives what its offer was answered with."""
    async with httpx.AsyncClient(base_url=server.url, headers=headers, trust_env=False) as client:
        body = {"session_id": session["session_id"], "client_secret": session["client_secret"]}
        async with browser:
            body["sdp"] = await browser.offer(**offer)
            response = await client.post("/realtime/signal", json=body)
            assert response.status_code == 200, response.text
            await browser.accept(response.json()["sdp_answer"])
            await browser.connected()
            yield response


@contextmanager
def switching(
    server: Service, headers: Mapping[str, str], scenario: str, session: Tree | None = None
) -> Iterator[ClientConnection]:
    """The socket that switches to a scenario."""
    query = f"?session_id={session['session_id']}" if session else ""
    url = f"{server.url.replace('http', 'ws')}/update-scenario/{scenario}{query}"
    with connect(url, additional_headers=dict(headers), proxy=None) as socket:
        yield socket


def told(socket: ClientConnection) -> Tree:
    """The next message of a socket."""
    message: Tree = json.loads(socket.recv(timeout=5))
    return message


def closed(socket: ClientConnection) -> int:
    """Wait for the server to close a socket; gives the code."""
    try:
        socket.recv(timeout=5)
    except ConnectionClosed as close:
        return close.rcvd.code if close.rcvd else 0
    raise AssertionError("the socket says something instead of closing")
