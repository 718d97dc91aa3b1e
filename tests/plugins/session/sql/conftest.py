"""Databases for the tests of the SQL store: SQLite files, and a PostgreSQL that is started once."""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from jackfield.testing.session import Advance
from jackfield_session_sql.options import SqlOptions
from jackfield_session_sql.store import SqlStore
from tests.postgres_server import PostgresServer

StoreFactory = Callable[..., AbstractAsyncContextManager[SqlStore]]
"""Makes a store on the test's database; its arguments are options."""

EXPIRING = ("windows", "shared_values", "counters", "leases", "signals")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The server that tests share; whoever kills or pauses it takes one of its own."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a database that the tests of a module share; each test has its own keys in it."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('sql')}/jackfield.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.database() as address:
        yield address


@pytest.fixture
def empty_url(url: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Address of a database of the same kind that is empty and the test's own."""
    if url.startswith("sqlite"):
        yield f"sqlite:///{tmp_path}/own.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.database() as address:
        yield address


def make_store(url: str, **options: Any) -> SqlStore:
    """Make a store, not opened."""
    return SqlStore(SqlOptions(url=SecretStr(url), **options), logging.getLogger("test.sql"))


@pytest.fixture
async def store(url: str) -> AsyncIterator[SqlStore]:
    """An open store."""
    async with make_store(url, max_waiting_signals=64, poll_s=0.02) as store:
        yield store


def advance_by(store: SqlStore) -> Advance:
    """Let time pass: everything is due so much earlier."""

    async def advance(seconds: float) -> None:
        async with store._database.transaction() as connection:
            for table in EXPIRING:
                earlier = f"UPDATE {table} SET expires_at_ms = expires_at_ms - {int(seconds * 1000)}"
                await connection.execute(text(earlier))

    return advance


@pytest.fixture
def name() -> str:
    """A name that nobody has used."""
    return f"name-{uuid.uuid4().hex}"
