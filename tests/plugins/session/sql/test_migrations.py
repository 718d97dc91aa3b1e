"""Migrations: from nothing to the newest tables and back, by one process at a time."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from anyio import to_thread
from click.testing import CliRunner, Result
from sqlalchemy import Connection, inspect, text

from jackfield import StoreUnavailable
from jackfield.testing.session import LONG_S
from jackfield.testing.session_windows import pair
from jackfield_session_sql import schema
from jackfield_session_sql.__main__ import main
from jackfield_session_sql.tables import metadata
from tests.plugins.session.sql import child
from tests.plugins.session.sql.conftest import make_store

pytestmark = pytest.mark.anyio


async def with_connection(url: str, work: Callable[[Connection], Any]) -> Any:
    async with make_store(url)._database.alone() as connection:
        result = await connection.run_sync(work)
        await connection.commit()
    return result


def newest(connection: Connection) -> str | None:
    return ScriptDirectory.from_config(schema._config(connection)).get_current_head()


def differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(
        connection, opts={"version_table": schema.VERSION_TABLE, "compare_type": True}
    )
    return list(compare_metadata(context, metadata))


def tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


@pytest.mark.contract("PI-23", "PI-22")
async def test_the_start_makes_the_tables_as_the_store_uses_them(empty_url: str) -> None:
    async with make_store(empty_url):
        pass

    assert await with_connection(empty_url, differences) == []
    assert await with_connection(empty_url, schema.current) == await with_connection(empty_url, newest)


@pytest.mark.contract("PI-23")
async def test_a_later_start_keeps_what_is_there(empty_url: str) -> None:
    async with make_store(empty_url) as store:
        await store.append("key", pair("1"), max_messages=10, ttl_s=LONG_S)
    async with make_store(empty_url) as store:
        window = await store.load("key")

    assert window is not None
    assert window.messages == pair("1")


@pytest.mark.contract("PI-23")
async def test_going_back_to_nothing_leaves_nothing_and_going_on_works(empty_url: str) -> None:
    async with make_store(empty_url):
        pass
    await with_connection(empty_url, lambda connection: schema.downgrade(connection, "base"))
    assert await with_connection(empty_url, tables) == {schema.VERSION_TABLE}

    async with make_store(empty_url) as store:
        await store.ping()
    assert await with_connection(empty_url, differences) == []


async def test_without_migrating_an_empty_database_refuses_to_start_and_names_the_command(
    empty_url: str,
) -> None:
    with pytest.raises(StoreUnavailable, match="python -m jackfield_session_sql upgrade"):
        async with make_store(empty_url, migrate=False):
            pass
    assert await with_connection(empty_url, tables) == set()


def command(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, env={"DATABASE_URL": url})


@pytest.mark.timeout(60)
async def test_the_command_makes_the_tables_and_says_which_they_are(empty_url: str) -> None:
    before = await to_thread.run_sync(command, empty_url, "current")
    upgraded = await to_thread.run_sync(command, empty_url, "upgrade")
    line = [sys.executable, "-m", "jackfield_session_sql", "current"]
    after = await anyio.run_process(line, env={**os.environ, "DATABASE_URL": empty_url})

    assert [before.output, upgraded.exit_code] == ["none\n", 0]
    assert after.stdout.decode().strip() == await with_connection(empty_url, newest)
    async with make_store(empty_url, migrate=False) as store:
        await store.ping()


def test_the_command_refuses_an_address_without_quoting_it() -> None:
    wrong = command("mysql://somebody:secret-123@host/name", "current")
    away = command("postgresql://somebody:secret-123@127.0.0.1:9/name", "current")
    none = command("", "current")

    assert [wrong.exit_code, away.exit_code, none.exit_code] == [1, 1, 1]
    assert "mssql://" in wrong.output
    assert "cannot be used" in away.output
    assert "DATABASE_URL" in none.output
    assert "secret-123" not in wrong.output + away.output


async def test_tables_of_a_newer_release_refuse_to_start(empty_url: str) -> None:
    async with make_store(empty_url) as store, store._database.transaction() as connection:
        await connection.execute(text(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'"))

    for migrate in (True, False):
        with pytest.raises(StoreUnavailable, match="newer"):
            async with make_store(empty_url, migrate=migrate):
                pass


async def test_stores_that_start_at_once_on_an_empty_database_all_start(empty_url: str) -> None:
    async def start() -> None:
        async with make_store(empty_url) as store:
            await store.ping()

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(start)
    assert await with_connection(empty_url, differences) == []


@pytest.mark.timeout(60)
async def test_processes_that_start_at_once_on_an_empty_database_all_start(empty_url: str) -> None:
    children = [child.spawn(empty_url, "open") for _ in range(3)]
    for process in children:
        await to_thread.run_sync(child.begin, process)
    for process in children:
        await to_thread.run_sync(child.end, process)
    assert await with_connection(empty_url, differences) == []


async def test_a_migration_that_fails_half_way_leaves_nothing_behind(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alembic import op

    create_index = op.create_index

    def fail_at_the_end(name: str, *arguments: Any, **options: Any) -> None:
        if name == "ix_leases_expires_at_ms":
            raise RuntimeError("a mistake in a migration")
        create_index(name, *arguments, **options)

    monkeypatch.setattr(op, "create_index", fail_at_the_end)
    with pytest.raises(RuntimeError, match="a mistake"):
        async with make_store(empty_url):
            pass
    monkeypatch.undo()
    assert await with_connection(empty_url, tables) == set()
