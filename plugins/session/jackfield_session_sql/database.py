"""The database: its connections, its transactions, and what its errors become."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from typing import Any, Final, TypeAlias

import anyio
from anyio.lowlevel import checkpoint_if_cancelled
from sqlalchemy import Connection, CursorResult, Executable, NullPool, PoolProxiedConnection, Row, event
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError, TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from jackfield.errors import StoreUnavailable
from jackfield_session_sql.address import Dialect, address, dialect_of
from jackfield_session_sql.options import SqlOptions

AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"
Parameters: TypeAlias = dict[str, Any]  # what drivers take; statements give their types

_IMMEDIATE: Final = "jackfield_immediate"
_FOREVER_S: Final = 60.0
_CLOSE_S: Final = 5.0
_BUSY: Final = "SQLITE_BUSY"
_BUSY_WAIT_S: Final = 0.02
_SEE: Final = "whether it runs, and whether the address, the user and the password are right"
_QUERY_CANCELLED: Final = "57014"


class Database:
    """A pool of connections. Nothing is opened before it is used; `close` closes what is idle.

    What was begun ends, within its limits of time, although its caller is cancelled by a cancel scope: a
    connection that is torn out of a statement is lost. A caller that is cancelled already begins nothing.

    On SQLite, writers of one process wait for each other in a queue, since the file has one writer at a time
    and its own way of waiting is not fair; other processes are waited for by that way.
    """

    def __init__(self, options: SqlOptions) -> None:
        self.dialect: Final[Dialect] = dialect_of(options)
        self._options = options
        self._engine = _engine(options, self.dialect)
        sqlite = self.dialect == "sqlite"
        modes = {_IMMEDIATE: True} if sqlite else {}
        self._transactions = self._engine.execution_options(**modes)
        # A connection of SQLite begins no transaction unless it is told to.
        self._steps = self._engine if sqlite else self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._writer: AbstractAsyncContextManager[object] = anyio.Lock() if sqlite else nullcontext()

    async def read(self, statement: Executable, parameters: Parameters | None = None) -> Sequence[AnyRow]:
        """Ask one question.

        :raises StoreUnavailable: when there is no answer.
        """
        await checkpoint_if_cancelled()
        with self._failures(), anyio.CancelScope(shield=True):
            async with self._steps.connect() as connection:
                rows = (await connection.execute(statement, parameters)).all()
        return rows

    async def write(self, statement: Executable, parameters: Parameters) -> Sequence[AnyRow]:
        """Change something by one statement, which is one step; gives the rows that it returns.

        :raises IntegrityError: when a key is taken.
        :raises StoreUnavailable: when it may not have happened.
        """
        async with self._writer:
            return await self.read(statement, parameters)

    async def change(self, statement: Executable, parameters: Parameters) -> int:
        """Change something by one statement, which is one step; gives the number of rows.

        :raises IntegrityError: when a key is taken.
        :raises StoreUnavailable: when it may not have happened.
        """
        await checkpoint_if_cancelled()
        async with self._writer:
            with self._failures(), anyio.CancelScope(shield=True):
                async with self._steps.connect() as connection:
                    result: CursorResult[Any] = await connection.execute(statement, parameters)
        return result.rowcount

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection for several questions, each answered as things then are."""
        await checkpoint_if_cancelled()
        with self._failures(), anyio.CancelScope(shield=True):
            async with self._steps.connect() as connection:
                yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A connection whose changes happen together at the end of the block, or, if it fails, not at all."""
        await checkpoint_if_cancelled()
        async with self._writer:
            with self._failures(), anyio.CancelScope(shield=True):
                async with self._transactions.begin() as connection:
                    yield connection

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[AsyncConnection]:
        """A connection of its own, outside the pool and without a limit of time for statements."""
        engine = _engine(self._options, self.dialect, pooled=False)
        if self.dialect == "sqlite":
            engine = engine.execution_options(**{_IMMEDIATE: True})
        with self._failures():
            connection = await _connect(engine)
            try:
                yield connection
            finally:
                with anyio.move_on_after(_CLOSE_S, shield=True):
                    await connection.close()
                    await engine.dispose()

    async def close(self) -> None:
        """Close all connections that nobody uses."""
        with anyio.move_on_after(_CLOSE_S, shield=True):
            await self._engine.dispose()

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except PoolTimeout:
            options = self._options
            raise StoreUnavailable(
                f"All {options.pool_size} connections to the {self.dialect} database were in use for "
                f"{options.connect_timeout_s:g} s. Raise `pool_size`, or see what holds them."
            ) from None
        except DBAPIError as error:
            if _key_is_taken(error):
                raise
            # Drivers quote values in their messages, so neither they nor their traceback are passed on.
            raise StoreUnavailable(self._told(_code(error))) from None
        except TimeoutError:
            raise StoreUnavailable(self._told("")) from None
        except (SQLAlchemyError, OSError) as error:
            raise StoreUnavailable(self._told(type(error).__name__)) from None

    def _told(self, code: str) -> str:
        if code in ("", _QUERY_CANCELLED, _BUSY):
            return (
                f"The {self.dialect} database did not answer within {self._options.statement_timeout_s:g} s. "
                "See whether it is overloaded; `statement_timeout_s` is how long it is waited for."
            )
        see = "its file, its folder and its disk" if self.dialect == "sqlite" else _SEE
        return f"The {self.dialect} database cannot be used ({code}). See {see}."


async def _connect(engine: AsyncEngine) -> AsyncConnection:
    """Connect; while another process makes a file of SQLite one for several, which locks it, try again."""
    deadline = anyio.current_time() + _FOREVER_S
    while True:
        try:
            return await engine.connect()
        except DBAPIError as error:
            if _code(error) != _BUSY or anyio.current_time() > deadline:
                raise
        await anyio.sleep(_BUSY_WAIT_S)


def _engine(options: SqlOptions, dialect: Dialect, *, pooled: bool = True) -> AsyncEngine:
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
    if connection.get_execution_options().get(_IMMEDIATE):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _refuse_closed(connection: PoolProxiedConnection, _record: object, _proxy: object) -> None:
    """Have a connection replaced that the server closed while it was idle; costs no question."""
    driver = connection.driver_connection
    if driver is not None and driver.is_closed():
        raise DisconnectionError


def _key_is_taken(error: DBAPIError) -> bool:
    """Whether a unique key is taken, in the words of each driver."""
    code = _code(error)
    return code in ("23505", "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE") or (
        code == "23000" and any(number in str(error.orig) for number in ("(2627)", "(2601)"))
    )


def _code(error: DBAPIError) -> str:
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
