"""Azure SQL, for which there is no server here: its driver loads, and every statement can be written."""

from __future__ import annotations

import importlib
import inspect
import io
import pkgutil
import re
from collections.abc import Iterator
from functools import partial
from types import ModuleType
from typing import Any, Final

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Executable
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

import jackfield_session_sql
from jackfield import StoreUnavailable
from jackfield_session_sql.address import Dialect
from jackfield_session_sql.expiry import SWEEPS
from tests.plugins.session.sql.conftest import make_store

pytestmark = pytest.mark.anyio

DIALECTS: Final[dict[Dialect, Any]] = {
    "sqlite": create_async_engine("sqlite+aiosqlite://").dialect,
    "postgresql": create_async_engine("postgresql+asyncpg://").dialect,
    "mssql": create_async_engine("mssql+aioodbc://", deprecate_large_types=True).dialect,
}
FOREIGN: Final = re.compile(r"\b(ON CONFLICT|RETURNING|LIMIT|FOR UPDATE|clock_timestamp|julianday)\b")


def modules() -> Iterator[ModuleType]:
    """The store's modules."""
    for found in pkgutil.iter_modules(jackfield_session_sql.__path__):
        if found.name not in ("__main__", "migrations"):
            yield importlib.import_module(f"jackfield_session_sql.{found.name}")


def statements(dialect: Dialect) -> dict[str, Executable]:
    """Every statement of the store, by module and name, but what is only ever sent to another database."""
    found: dict[str, Executable] = {f"sweep {at}": statement for at, (statement, _) in enumerate(SWEEPS)}
    for module in modules():
        for name, value in vars(module).items():
            if isinstance(value, Executable) and isinstance(value, ClauseElement) and name != "NOTIFY":
                found[f"{module.__name__}.{name}"] = value
            elif inspect.isfunction(value) and value.__module__ == module.__name__ and name != "upsert":
                for variant, make in _variants(value):
                    found[f"{module.__name__}.{name}{variant}"] = make(dialect)
    return found


def _variants(function: Any) -> Iterator[tuple[str, Any]]:
    parameters = inspect.signature(function).parameters
    if list(parameters)[:1] != ["dialect"]:
        return
    if "only_if_absent" in parameters:
        yield " absent", partial(function, only_if_absent=True)
        yield "", partial(function, only_if_absent=False)
    else:
        yield "", function


def test_the_search_for_statements_finds_them() -> None:
    assert len(statements("mssql")) > 35
    assert sum("shared" in name for name in statements("mssql")) == 8


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.contract("PI-22")
def test_every_statement_can_be_written_for_every_database(dialect: Dialect) -> None:
    for name, statement in statements(dialect).items():
        assert isinstance(statement, ClauseElement)
        compiled = str(statement.compile(dialect=DIALECTS[dialect]))
        assert compiled, name
        if dialect == "mssql":
            assert not FOREIGN.search(compiled), (name, compiled)


def test_inserting_or_changing_is_one_statement_that_locks_the_key() -> None:
    from jackfield_session_sql.shared import lease

    statement = lease("mssql")
    assert isinstance(statement, ClauseElement)
    now = "DATEDIFF_BIG(millisecond, '1970-01-01', SYSUTCDATETIME())"
    compiled = statement.compile(dialect=DIALECTS["mssql"])
    assert isinstance(compiled, SQLCompiler)
    assert compiled.positiontup == ["key", "ttl_ms"]
    assert str(compiled) == (
        "MERGE INTO leases WITH (HOLDLOCK) USING (SELECT CAST(? AS BINARY(32)), "
        f"CAST({now} * 1000 AS BIGINT), CAST({now} + ? AS BIGINT)) "
        "AS excluded (shared_key, token, expires_at_ms) ON leases.shared_key = excluded.shared_key "
        f"WHEN MATCHED AND (leases.expires_at_ms <= {now}) THEN UPDATE SET "
        "token = CASE WHEN (leases.token >= excluded.token) THEN leases.token + 1 ELSE excluded.token END, "
        "expires_at_ms = excluded.expires_at_ms "
        "WHEN NOT MATCHED THEN INSERT (shared_key, token, expires_at_ms) "
        "VALUES (excluded.shared_key, excluded.token, excluded.expires_at_ms) OUTPUT inserted.token;"
    )


def test_the_migrations_can_be_written_for_it() -> None:
    written = io.StringIO()
    options = {"as_sql": True, "output_buffer": written}
    context = MigrationContext.configure(dialect=DIALECTS["mssql"], opts=options)
    versions = importlib.import_module("jackfield_session_sql.migrations.versions")
    with Operations.context(context):
        for found in pkgutil.iter_modules(versions.__path__):
            importlib.import_module(f"{versions.__name__}.{found.name}").upgrade()

    text = written.getvalue()
    assert text.count("CREATE TABLE") == 10
    assert "WHERE email_folded IS NOT NULL" in text
    assert "NVARCHAR(400) COLLATE Latin1_General_100_BIN2" in text
    assert not re.search(r"\b(NTEXT|IMAGE|TEXT)\b", text)


async def test_the_driver_is_there_and_a_server_that_is_not_is_an_error() -> None:
    store = make_store("mssql://somebody:secret-123@127.0.0.1:9/jackfield", connect_timeout_s=1)
    with pytest.raises(StoreUnavailable) as raised:
        async with store:
            pass
    assert "secret-123" not in str(raised.value)
