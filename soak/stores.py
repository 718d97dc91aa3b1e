"""Stores whose processes are killed: each a process with its data in a folder, and how to open the store."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

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


def redis(folder: Path) -> Subject:
    """A Redis that writes to the disk before it answers."""
    from jackfield_session_redis import RedisOptions
    from jackfield_session_redis.store import RedisStore
    from tests.redis_server import DURABLE, RedisServer

    server = RedisServer(folder, DURABLE)
    options = RedisOptions(url=SecretStr(server.url), persistent=True)
    return Subject(server, lambda: RedisStore(options, logging.getLogger("soak")))


SUBJECTS: Final[Mapping[str, Callable[[Path], Subject]]] = {"redis": redis}
