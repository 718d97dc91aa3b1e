"""Connections to each kind of database: how they are made, and what is said to a new one."""

from __future__ import annotations

import logging
from typing import Any, Final

import anyio
from sqlalchemy import Connection, NullPool, PoolProxiedConnection, event
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from jackfield_session_sql.address import Dialect, address
from jackfield_session_sql.options import SqlOptions

IMMEDIATE: Final = "jackfield_immediate"
"""Execution option of SQLite: a transaction takes the writer's place when it begins."""
BUSY: Final = "SQLITE_BUSY"

_FOREVER_S: Final = 60.0
_BUSY_WAIT_S: Final = 0.02


async def connect(engine: AsyncEngine) -> AsyncConnection:
    """Connect; while another process makes a file of SQLite one for several, which locks it, try again."""
    deadline = anyio.current_time() + _FOREVER_S
    while True:
        try:
            return await engine.connect()
        except DBAPIError as error:
            if code_of(error) != BUSY or anyio.current_time() > deadline:
                raise
        await anyio.sleep(_BUSY_WAIT_S)


def make_engine(options: SqlOptions, dialect: Dialect, *, pooled: bool = True) -> AsyncEngine:
    """Make an engine. Parameters hold what users wrote, so errors never show them."""
    pool: dict[str, Any] = {"poolclass": NullPool}
    if pooled:
        pool = {
            "pool_size": options.pool_size,
            "max_overflow": 0,
            "pool_timeout": options.connect_timeout_s,
        }
    arguments = _CONNECT[dialect](options, pooled)
    large = {"deprecate_large_types": True} if dialect == "mssql" else {}
    engine = create_async_engine(
        address(options), hide_parameters=True, connect_args=arguments, **pool, **large
    )
    if dialect == "sqlite":
        logging.getLogger("aiosqlite").setLevel(logging.INFO)  # below, it writes what users wrote
        event.listen(engine.sync_engine, "connect", _prepare_sqlite if pooled else _share_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    if dialect == "postgresql":
        event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


def _sqlite(options: SqlOptions, pooled: bool) -> dict[str, Any]:
    # None: this module says itself where transactions begin.
    return {"isolation_level": None, "timeout": options.statement_timeout_s if pooled else _FOREVER_S}


def _postgresql(options: SqlOptions, pooled: bool) -> dict[str, Any]:
    settings = {"application_name": "jackfield", "default_transaction_isolation": "read committed"}
    if pooled:
        limit_ms = int(options.statement_timeout_s * 1000)
        settings |= {
            "statement_timeout": str(limit_ms),
            # A replica that vanished does not keep others from a conversation.
            "idle_in_transaction_session_timeout": str(4 * limit_ms),
        }
    return {
        "timeout": options.connect_timeout_s,
        # A little more, so that a server that is merely slow cancels the statement itself.
        "command_timeout": 1.2 * options.statement_timeout_s if pooled else None,
        "server_settings": settings,
    }


def _mssql(options: SqlOptions, pooled: bool) -> dict[str, Any]:
    return {"timeout": max(1, round(options.connect_timeout_s))}


_CONNECT: Final = {"sqlite": _sqlite, "postgresql": _postgresql, "mssql": _mssql}


def _share_sqlite(connection: Any, _record: object) -> None:  # the driver's
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")  # of the file: readers do not wait for the writer
    cursor.close()


def _prepare_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous = FULL")  # confirmed is on the disk
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    if connection.get_execution_options().get(IMMEDIATE):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _refuse_closed(connection: PoolProxiedConnection, _record: object, _proxy: object) -> None:
    """Have a connection replaced that the server closed while it was idle; costs no question."""
    driver = connection.driver_connection
    if driver is not None and driver.is_closed():
        raise DisconnectionError


def code_of(error: DBAPIError) -> str:
    """The database's own code for what happened; it never holds a value."""
    original = error.orig
    for place in (original, getattr(original, "__cause__", None)):
        for name in ("sqlstate", "sqlite_errorname"):
            code = getattr(place, name, None)
            if isinstance(code, str):
                return code
    arguments = getattr(original, "args", ())
    if arguments and isinstance(arguments[0], str) and len(arguments[0]) == 5 and arguments[0].isalnum():
        return arguments[0]  # ODBC
    return type(original).__name__
