"""Stores whose processes are killed: each a process with its data in a folder, and how to open the store."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, cast

from pydantic import SecretStr

from soak.writers import TriedStore


class StoreProcess(Protocol):
    """A store's server. `start` waits until it answers, and finds the data of the one that was killed."""

    def start(self) -> None:
        """Start it, the first time or again."""

    def kill(self) -> None:
        """End it at once, with every process that it made."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is tried. Each call of `open` makes a store of its own."""

    process: StoreProcess
    open: Callable[[], AbstractAsyncContextManager[TriedStore]]
    kinds: tuple[str, ...] = ("window", "records")
    """What is written: expiring conversations, lasting ones."""
    below: StoreProcess | None = None
    """What the process keeps its data in, if that stays up when it is killed."""


def redis(folder: Path) -> Subject:
    """A Redis that writes to the disk before it answers."""
    from jackfield_session_redis import RedisOptions
    from jackfield_session_redis.store import RedisStore
    from tests.redis_server import DURABLE, RedisServer

    server = RedisServer(folder, DURABLE)
    options = RedisOptions(url=SecretStr(server.url), persistent=True)
    return Subject(server, lambda: RedisStore(options, logging.getLogger("soak")))


def postgresql(folder: Path) -> Subject:
    """A PostgreSQL that writes to the disk before it answers, as it does unless told otherwise."""
    from jackfield_session_sql import SqlOptions
    from jackfield_session_sql.store import SqlStore
    from tests.postgres_server import PostgresServer

    server = PostgresServer(folder)
    options = SqlOptions(url=SecretStr(server.url()))
    return Subject(server, lambda: SqlStore(options, logging.getLogger("soak")))


def server_on_sqlite(folder: Path) -> Subject:
    """A Jackfield server with its conversations in a file; it is what is killed."""
    from jackfield_session_sql import SqlOptions
    from jackfield_session_sql.store import SqlStore
    from soak.served import JackfieldProcess, ServedStore

    url = f"sqlite:///{folder}/jackfield.db"
    process = JackfieldProcess(folder, f'use = "sql"\noptions.url = "{url}"\n')
    options = SqlOptions(url=SecretStr(url))

    def open_store() -> AbstractAsyncContextManager[TriedStore]:
        store = ServedStore(process, SqlStore(options, logging.getLogger("soak")))
        return cast("AbstractAsyncContextManager[TriedStore]", store)  # windows are all that is tried

    return Subject(process, open_store, kinds=("window",))


def server_on_redis(folder: Path) -> Subject:
    """A Jackfield server with its conversations in a Redis that stays up; the server is what is killed."""
    from jackfield_session_redis import RedisOptions
    from jackfield_session_redis.store import RedisStore
    from soak.served import JackfieldProcess, ServedStore
    from tests.redis_server import DURABLE, RedisServer

    redis_server = RedisServer(folder / "redis", DURABLE)
    session = f'use = "redis"\noptions.url = "{redis_server.url}"\noptions.persistent = true\n'
    process = JackfieldProcess(folder, session)
    options = RedisOptions(url=SecretStr(redis_server.url))

    def open_store() -> AbstractAsyncContextManager[TriedStore]:
        store = ServedStore(process, RedisStore(options, logging.getLogger("soak")))
        return cast("AbstractAsyncContextManager[TriedStore]", store)  # windows are all that is tried

    return Subject(process, open_store, kinds=("window",), below=redis_server)


SUBJECTS: Final[Mapping[str, Callable[[Path], Subject]]] = {
    "redis": redis,
    "postgresql": postgresql,
    "server-on-sqlite": server_on_sqlite,
    "server-on-redis": server_on_redis,
}
