"""What other processes published, told by PostgreSQL: one connection listens, and is replaced when lost."""

from __future__ import annotations

import logging
from typing import Any, Final

import anyio
from sqlalchemy.ext.asyncio import AsyncConnection

from jackfield.errors import StoreUnavailable
from jackfield_session_sql.database import Database
from jackfield_session_sql.listeners import Listeners
from jackfield_session_sql.signals import NOTIFIED

_SIGN_OF_LIFE_S: Final = 10.0
"""Seconds after which a silent connection is asked whether it is still there."""
_FIRST_WAIT_S: Final = 0.1
_LONGEST_WAIT_S: Final = 5.0


class Notifications:
    """Listens until cancelled. Whatever was published while it could not listen is looked for afterwards."""

    def __init__(self, database: Database, listeners: Listeners, logger: logging.Logger) -> None:
        self._database = database
        self._listeners = listeners
        self._logger = logger

    async def run(self) -> None:
        """Listen, and begin again after each failure, at first quickly and then less often."""
        # It has no types, and is not installed where another database is used.
        from asyncpg import InterfaceError, InternalClientError, PostgresError  # type: ignore[import-untyped]

        wait_s = _FIRST_WAIT_S
        while True:
            try:
                async with self._database.alone() as connection:
                    with anyio.fail_after(_SIGN_OF_LIFE_S):  # the connection itself waits for ever
                        closed = await self._listen(connection)
                    wait_s = _FIRST_WAIT_S
                    self._listeners.may_have_missed()
                    await self._stay(connection, closed)
                self._logger.warning("lost the connection that listens to signals; connecting again")
            except (StoreUnavailable, InterfaceError, InternalClientError, PostgresError) as error:
                self._logger.debug("cannot listen to signals: %s", type(error).__name__)
            await anyio.sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    async def _listen(self, connection: AsyncConnection) -> anyio.Event:
        """Begin to listen; gives an event that is set when the connection is lost."""
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        closed = anyio.Event()
        driver.add_termination_listener(lambda _driver: closed.set())
        await driver.add_listener(NOTIFIED, self._heard)
        return closed

    async def _stay(self, connection: AsyncConnection, closed: anyio.Event) -> None:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        while not closed.is_set():
            with anyio.move_on_after(_SIGN_OF_LIFE_S):
                await closed.wait()
                return
            await driver.execute("SELECT 1", timeout=_SIGN_OF_LIFE_S)

    def _heard(self, _driver: Any, _pid: int, _channel: str, payload: str) -> None:  # as asyncpg calls it
        key, _, sequence = payload.partition(" ")
        self._listeners.heard(bytes.fromhex(key), int(sequence))
