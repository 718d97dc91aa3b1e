"""The database: its connections, its transactions, and what its errors become."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from typing import Any, Final, TypeAlias

import anyio
from anyio.lowlevel import checkpoint_if_cancelled
from sqlalchemy import CursorResult, Executable, Row
from sqlalchemy.exc import DBAPIError, SQLAlchemyError, TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection

from jackfield.errors import StoreUnavailable
from jackfield_session_sql.address import Dialect, dialect_of
from jackfield_session_sql.engine import BUSY, IMMEDIATE, code_of, connect, make_engine
from jackfield_session_sql.options import SqlOptions

AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"
Parameters: TypeAlias = dict[str, Any]  # what drivers take; statements give their types

_CLOSE_S: Final = 5.0
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
        self._engine = make_engine(options, self.dialect)
        sqlite = self.dialect == "sqlite"
        modes = {IMMEDIATE: True} if sqlite else {}
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
        engine = make_engine(self._options, self.dialect, pooled=False)
        if self.dialect == "sqlite":
            engine = engine.execution_options(**{IMMEDIATE: True})
        with self._failures():
            connection = await connect(engine)
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
            raise StoreUnavailable(self._told(code_of(error))) from None
        except TimeoutError:
            raise StoreUnavailable(self._told("")) from None
        except (SQLAlchemyError, OSError) as error:
            raise StoreUnavailable(self._told(type(error).__name__)) from None

    def _told(self, code: str) -> str:
        if code in ("", _QUERY_CANCELLED, BUSY):
            return (
                f"The {self.dialect} database did not answer within {self._options.statement_timeout_s:g} s. "
                "See whether it is overloaded; `statement_timeout_s` is how long it is waited for."
            )
        see = "its file, its folder and its disk" if self.dialect == "sqlite" else _SEE
        return f"The {self.dialect} database cannot be used ({code}). See {see}."


def _key_is_taken(error: DBAPIError) -> bool:
    """Whether a unique key is taken, in the words of each driver."""
    code = code_of(error)
    return code in ("23505", "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE") or (
        code == "23000" and any(number in str(error.orig) for number in ("(2627)", "(2601)"))
    )
