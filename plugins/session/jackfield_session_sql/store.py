"""The SQL store: its four roles as one object, and what it does while it is open."""

from __future__ import annotations

import logging
import os
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import anyio
from sqlalchemy import Executable, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from jackfield.errors import StoreUnavailable
from jackfield_session_sql import schema
from jackfield_session_sql.accounts import SqlAccounts
from jackfield_session_sql.address import Dialect, address
from jackfield_session_sql.database import Database
from jackfield_session_sql.expiry import sweep
from jackfield_session_sql.notifications import Notifications
from jackfield_session_sql.options import SqlOptions
from jackfield_session_sql.records import SqlRecords
from jackfield_session_sql.shared import SqlShared
from jackfield_session_sql.signals import SqlSignals
from jackfield_session_sql.tables import metadata
from jackfield_session_sql.windows import SqlWindows

PING: Final = select(1)
_SIZES: Final[dict[Dialect, Executable]] = {
    "sqlite": text("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"),
    "postgresql": text(
        "SELECT CAST(coalesce(sum(pg_total_relation_size(oid)), 0) AS bigint) FROM pg_class "
        "WHERE relkind = 'r' AND relname = ANY(:names) AND relnamespace = current_schema()::regnamespace"
    ),
}


class SqlStore(SqlWindows, SqlAccounts, SqlRecords, SqlSignals, SqlShared):
    """Windows, records, signals and shared things in one database.

    Entering connects, brings the tables to the newest version, and then sweeps what has expired and reads
    the signals of other processes until it is left. Every method may be called any number of times at once.
    A lost connection fails what was using it and nothing else; the next use connects again.
    """

    def __init__(self, options: SqlOptions, logger: logging.Logger) -> None:
        database = Database(options)
        SqlWindows.__init__(self, database)
        SqlAccounts.__init__(self, database)
        SqlRecords.__init__(self, database)
        SqlSignals.__init__(self, database, options, logger)
        SqlShared.__init__(self, database)
        self._options = options
        self._opened = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._database.close)
            await self._prepare()
            tasks = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(tasks.cancel_scope.cancel)
            tasks.start_soon(self._keep_sweeping, name="sweeping")
            tasks.start_soon(self.keep_reading, name="reading signals")
            if self._database.dialect == "postgresql":
                notifications = Notifications(self._database, self._listeners, self._logger)
                tasks.start_soon(notifications.run, name="listening to signals")
            self._opened = stack.pop_all()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> bool | None:
        return await self._opened.__aexit__(exc_type, exc, tb)

    async def ping(self) -> None:
        await self._database.read(PING)

    async def size_bytes(self) -> int | None:
        statement = _SIZES.get(self._database.dialect)
        if statement is None:
            return None
        values: dict[str, Any] = {}
        if self._database.dialect == "postgresql":
            values["names"] = list(metadata.tables)
        return int((await self._database.read(statement, values))[0][0])

    async def _prepare(self) -> None:
        """Have a database with the newest tables that keeps what it confirms."""
        sqlite = self._database.dialect == "sqlite"
        if sqlite:
            _make_private_file(Path(address(self._options).database or ""))
        with anyio.CancelScope(shield=sqlite):  # whose driver cannot be interrupted
            await self._prepare_tables()

    async def _prepare_tables(self) -> None:
        async with self._database.alone() as connection:
            if self._database.dialect == "postgresql" and not self._options.accept_loss:
                await _require_durable(connection)
            await connection.run_sync(schema.upgrade if self._options.migrate else schema.require_newest)
            await connection.commit()

    async def _keep_sweeping(self) -> None:
        failing = False
        while True:
            await anyio.sleep(self._options.sweep_s)
            try:
                await sweep(self._database)
                failing = False
            except StoreUnavailable as error:
                if not failing:
                    self._logger.warning("what has expired is not removed: %s", error)
                failing = True


def _make_private_file(path: Path) -> None:
    """Make the file, if it is not there, so that nobody else of this machine can read it."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreUnavailable(
            f"The file {path} cannot be written ({error.strerror}). Make its folder, or name another file in "
            "`url`."
        ) from error


async def _require_durable(connection: AsyncConnection) -> None:
    """See that PostgreSQL loses nothing that it has confirmed."""
    for name in ("fsync", "synchronous_commit"):
        if (await connection.execute(text(f"SHOW {name}"))).scalar_one() == "off":
            raise StoreUnavailable(
                f"The database has `{name} = off` and may lose what it has confirmed. Switch it on, or set "
                "`accept_loss = true`."
            )
