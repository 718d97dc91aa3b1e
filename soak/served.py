"""A server that is killed while it answers: what it answered must be in its store, question and answer."""

from __future__ import annotations

import hashlib
import logging
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

import httpx
from pydantic import SecretStr

from jackfield import StoreUnavailable
from jackfield.contracts.session import StoredMessage, Window
from jackfield_session_sql import SqlOptions
from jackfield_session_sql.store import SqlStore
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
[session]
use = "sql"
options.url = "sqlite:///jackfield.db"
max_messages = 100000
[limits]
user_per_minute = 1000000
session_per_minute = 1000000
address_per_minute = 1000000
[[transport]]
use = "relay_chat"
"""


class JackfieldProcess:
    """`jackfield serve` with its conversations in a file of SQLite, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.store_url = f"sqlite:///{folder}/jackfield.db"
        self._folder = folder
        self._server: ServerProcess | None = None
        (folder / "jackfield.toml").write_text(_CONFIG)

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


class ServedStore(SqlStore):
    """The server's store, read directly and written to by asking the server, whose answers are known."""

    def __init__(self, process: JackfieldProcess) -> None:
        super().__init__(SqlOptions(url=SecretStr(process.store_url)), logging.getLogger("soak"))
        self._process = process
        self._client = httpx.AsyncClient(timeout=_WAIT_S)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._opened.push_async_callback(self._client.aclose)
        return self

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
        window = await super().load(_stored_key(key))
        return window and replace(window, messages=tuple(map(_as_written, window.messages)))


def _as_written(message: StoredMessage) -> StoredMessage:
    if message.is_user:
        return message
    return replace(message, content=f"{message.content.removeprefix(_PREFIX)} answer")


def _stored_key(session: str) -> str:
    """The key of a conversation of a server without a secret, for a user who merely claims a name."""
    parts = ("", "claimed:", _USER, session)
    return f"session:{hashlib.sha256(chr(0x1F).join(parts).encode()).hexdigest()}"
