"""Addresses and options: what is accepted, what is refused, and that no secret is printed."""

from __future__ import annotations

import logging
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

import jackfield_session_sql
from jackfield import JackfieldError, Site, StoreUnavailable
from jackfield_session_sql import SqlOptions
from jackfield_session_sql.address import address
from tests.plugins.session.sql.conftest import make_store
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.anyio

SECRET = "secret-123"


def full_address(**options: Any) -> str:
    return address(SqlOptions(**options)).render_as_string(hide_password=False)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///jackfield.db", "sqlite+aiosqlite:///jackfield.db"),
        ("sqlite:////var/lib/jackfield.db", "sqlite+aiosqlite:////var/lib/jackfield.db"),
        ("postgres://me:pw@host/name", "postgresql+asyncpg://me:pw@host/name"),
        ("postgresql+asyncpg://host/name", "postgresql+asyncpg://host/name"),
        ("postgresql://host/name?sslmode=require", "postgresql+asyncpg://host/name?ssl=require"),
        (
            "mssql://me:pw@host/name",
            "mssql+aioodbc://me:pw@host/name?driver=ODBC+Driver+18+for+SQL+Server",
        ),
        ("mssql://host/name?driver=Other", "mssql+aioodbc://host/name?driver=Other"),
    ],
)
def test_an_address_gets_the_driver_that_the_store_uses(url: str, expected: str) -> None:
    assert full_address(url=SecretStr(url)) == expected


def test_without_an_address_it_is_a_file_of_sqlite() -> None:
    assert full_address() == "sqlite+aiosqlite:///jackfield.db"
    assert full_address(url=SecretStr("")) == "sqlite+aiosqlite:///jackfield.db"


def test_an_address_can_be_given_in_parts_whatever_the_password_has_in_it() -> None:
    parts = {"host": "db.example.org", "database": "pichat", "user": "me", "password": "p@ss/word:"}
    assert (
        full_address(dialect="postgresql", **parts)
        == "postgresql+asyncpg://me:p%40ss%2Fword%3A@db.example.org/pichat"
    )
    assert full_address(dialect="mssql", port=1433, **parts).startswith(
        "mssql+aioodbc://me:p%40ss%2Fword%3A@db.example.org:1433/pichat?driver="
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"url": f"mysql://me:{SECRET}@host/name"}, "sqlite://, postgresql:// and mssql://"),
        ({"url": f"me:{SECRET}@host"}, "sqlite://, postgresql:// and mssql://"),
        ({"url": f"postgresql://me:{SECRET}@one.database.windows.net/name"}, "Write mssql"),
        (
            {"dialect": "postgresql", "host": "one.database.windows.net", "database": "name"},
            "Write mssql",
        ),
        ({"url": "sqlite://"}, "Name a file"),
        ({"url": "sqlite:///:memory:"}, "Name a file"),
        ({"database": ":memory:"}, "Name a file"),
        ({"dialect": "postgresql", "password": SECRET}, "no `database`"),
    ],
)
def test_what_cannot_be_an_address_is_refused_and_not_quoted(options: dict[str, str], told: str) -> None:
    with pytest.raises(ValidationError) as raised:
        SqlOptions.model_validate(options)
    assert told in str(raised.value)
    assert SECRET not in str(raised.value)


def test_options_never_print_an_address_or_a_password() -> None:
    for options in (
        SqlOptions(url=SecretStr(f"postgresql://me:{SECRET}@host/name")),
        SqlOptions(dialect="mssql", database="name", password=SecretStr(SECRET)),
    ):
        assert SECRET not in repr(options) + str(options.model_dump())


async def test_the_file_is_nobody_elses(tmp_path: Path) -> None:
    async with make_store(f"sqlite:///{tmp_path}/jackfield.db") as store:
        await store.update_settings("user", {"theme": "dark"})
        for file in tmp_path.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name


async def test_a_file_in_a_folder_that_is_missing_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"nowhere.* cannot be written"):
        async with make_store(f"sqlite:///{tmp_path}/nowhere/jackfield.db"):
            pass


async def test_a_file_that_is_no_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear Sir or Madam, " * 100)
    with pytest.raises(StoreUnavailable, match="SQLITE_NOTADB"):
        async with make_store(f"sqlite:///{tmp_path}/letter.txt"):
            pass


@pytest.mark.parametrize(
    ("url", "package", "extra"),
    [
        ("postgresql://host/name", "asyncpg", "jackfield[postgresql]"),
        ("mssql://host/name", "aioodbc", "jackfield[azure-sql]"),
    ],
)
def test_a_missing_driver_is_named_with_the_extra_that_brings_it(
    url: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    site = Site("session", "sql", logging.getLogger("test"))
    with pytest.raises(JackfieldError) as raised:
        jackfield_session_sql.make_session(options=SqlOptions(url=SecretStr(url)), site=site)
    assert package in str(raised.value)
    assert extra in str(raised.value)


async def test_a_database_that_may_lose_what_it_confirmed_is_refused_unless_accepted(
    postgres: PostgresServer,
) -> None:
    with postgres.database() as url:
        name = url.partition("@/")[2].partition("?")[0]
        postgres.sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
        with pytest.raises(StoreUnavailable, match="synchronous_commit = off"):
            async with make_store(url):
                pass
        async with make_store(url, accept_loss=True) as store:
            await store.ping()
