"""A server that is killed while it answers: what it answered must be in its store, question and answer."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

import httpx

from jackfield import StoreUnavailable
from jackfield.contracts.session import StoredMessage, Window, Windows
from tests.server_process import ServerProcess

_USER: Final = "somebody"
_PREFIX: Final = "You said: "
_WAIT_S: Final = 20.0
_CONFIG: Final = f"""
[server]
port = 0
log_level = "WARNING"
[llm]
use = "echo"
options.prefix = "{_PREFIX}"
[limits]
user_per_minute = 1000000
session_per_minute = 1000000
address_per_minute = 1000000
[[transport]]
use = "relay_chat"
[session]
max_messages = 100000
"""


class JackfieldProcess:
    """`jackfield serve` in `folder`; `session` says in lines of TOML which store it has."""

    def __init__(self, folder: Path, session: str) -> None:
        self._folder = folder
        self._server: ServerProcess | None = None
        (folder / "jackfield.toml").write_text(_CONFIG + session)

    @property
    def url(self) -> str:
        """Where it listens, or listened before it was killed."""
        assert self._server is not None
        return self._server.url

    def start(self) -> None:
        """Start it, the first time or again; returns when it answers."""
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        server = ServerProcess(self._folder, ["jackfield.toml"], environment)
        self._server = server.__enter__()

    def kill(self) -> None:
        """End it at once."""
        if self._server is None:
            return
        os.kill(self._server.pid, signal.SIGKILL)
        self._server.__exit__(None, None, None)


class OpenableWindows(Windows, AbstractAsyncContextManager[object], Protocol):
    """A store that has to be opened."""


class ServedStore:
    """Expiring conversations that are written by asking a server, whose answers are known, and read directly.

    `store` is the server's own one; it is opened and closed along.
    """

    def __init__(self, process: JackfieldProcess, store: OpenableWindows) -> None:
        self._process = process
        self._store = store
        self._client = httpx.AsyncClient(timeout=_WAIT_S)

    async def __aenter__(self) -> Self:
        await self._store.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._client.aclose()
        await self._store.__aexit__(exc_type, exc, tb)

    async def append(
        self, key: str, messages: Sequence[StoredMessage], *, max_messages: int, ttl_s: float
    ) -> bool:
        question, _answer = messages
        form = {
            "message": question.content,
            "type": "text",
            "sessionId": key,
            "userId": _USER,
            "username": "S.",
        }
        try:
            answer = await self._client.post(f"{self._process.url}/chat", data=form)
        except httpx.HTTPError:
            raise StoreUnavailable("The server was killed.") from None
        if answer.status_code != 200:
            raise StoreUnavailable(f"The server answered {answer.status_code}.")
        return False

    async def load(self, key: str) -> Window | None:
        """Give the conversation with its answers as its writer wrote them."""
        window = await self._store.load(_stored_key(key))
        return window and replace(window, messages=tuple(map(_as_written, window.messages)))


def _as_written(message: StoredMessage) -> StoredMessage:
    if message.is_user:
        return message
    return replace(message, content=f"{message.content.removeprefix(_PREFIX)} answer")


def _stored_key(session: str) -> str:
    """The key of a conversation of a server without a secret, for a user who merely claims a name."""
    parts = ("", "claimed:", _USER, session)
    return f"session:{hashlib.sha256(chr(0x1F).join(parts).encode()).hexdigest()}"
