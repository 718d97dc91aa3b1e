"""The address of the database: read from the options, completed, never printed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import parse_qs, urlsplit

from jackfield import services

if TYPE_CHECKING:
    from sqlalchemy import URL

    from jackfield_session_sql.options import SqlOptions

Dialect = Literal["sqlite", "postgresql", "mssql"]

EXTRAS: Final[dict[Dialect, str]] = {
    "sqlite": "jackfield[sql]",
    "postgresql": "jackfield[postgresql]",
    "mssql": "jackfield[azure-sql]",
}
"""What to install for each database."""

DEFAULT_FILE: Final = "jackfield.db"

_DIALECTS: Final[dict[str, Dialect]] = {
    "sqlite": "sqlite",
    "sqlite+aiosqlite": "sqlite",
    "postgres": "postgresql",
    "postgresql": "postgresql",
    "postgresql+asyncpg": "postgresql",
    "mssql": "mssql",
    "mssql+aioodbc": "mssql",
}
_DRIVERS: Final[dict[Dialect, str]] = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "mssql": "mssql+aioodbc",
}
_AZURE: Final = ".database.windows.net"
_SCHEME: Final = re.compile(r"([a-z0-9+]+)://")


def dialect_of(options: SqlOptions) -> Dialect:
    """Which kind of database the options name.

    :raises ValueError: when the address is none of those; it is not quoted.
    """
    text = _text(options)
    if not text:
        return options.dialect
    found = _SCHEME.match(text)
    dialect = _DIALECTS.get(found[1]) if found else None
    if dialect is None:
        raise ValueError(
            "The address begins with none of sqlite://, postgresql:// and mssql://. Write it as "
            "sqlite:///FILE or DIALECT://USER:PASSWORD@HOST/NAME."
        )
    return dialect


def is_on_this_machine(options: SqlOptions) -> bool:
    """Whether the database is a file, or a server behind a unix socket or a loopback address."""
    if dialect_of(options) == "sqlite":
        return True
    text = _text(options)
    if not text:
        return options.host.startswith("/") or services.is_on_this_machine(f"//{options.host}")
    socket = parse_qs(urlsplit(text).query).get("host", [""])[0].startswith("/")
    return socket or services.is_on_this_machine(text)


def check(options: SqlOptions) -> None:
    """See whether the options can be an address, as far as that shows without SQLAlchemy.

    :raises ValueError: with what is wrong; no part of an address is quoted.
    """
    dialect = dialect_of(options)
    text = _text(options)
    host = _host(text) if text else options.host
    if dialect == "postgresql" and host.endswith(_AZURE):
        raise ValueError(
            f"The host ends in {_AZURE}, which is Azure SQL, and the dialect is postgresql. Write mssql."
        )
    file = _file(text) if text else options.database
    if dialect == "sqlite" and (file.startswith(":memory:") or (text and file in ("", "/"))):
        raise ValueError(
            "SQLite is to keep everything in memory. Name a file, as in sqlite:///jackfield.db, or use the "
            'store "memory".'
        )
    if dialect != "sqlite" and not text and not options.database:
        raise ValueError("There is no `database`: name it, or give the whole `url`.")


def address(options: SqlOptions) -> URL:
    """Give the address as SQLAlchemy takes it, with the asynchronous driver."""
    from sqlalchemy import URL, make_url

    dialect, text = dialect_of(options), _text(options)
    if text:
        url = make_url(text)
    else:
        server = dialect != "sqlite"
        url = URL.create(
            dialect,
            username=options.user if server else None,
            password=options.password.get_secret_value() if server and options.password else None,
            host=options.host if server else None,
            port=options.port if server else None,
            database=options.database or DEFAULT_FILE,
        )
    url = url.set(drivername=_DRIVERS[dialect])
    if dialect == "mssql" and "driver" not in url.query:
        url = url.update_query_dict({"driver": options.driver})
    if dialect == "postgresql" and "sslmode" in url.query:  # libpq's name; asyncpg has its own
        mode = url.query["sslmode"]
        url = url.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
    return url


def _text(options: SqlOptions) -> str:
    return options.url.get_secret_value().strip() if options.url else ""


def _host(text: str) -> str:
    try:
        return urlsplit(text).hostname or ""
    except ValueError as error:
        raise ValueError("The address has a host that is none.") from error


def _file(text: str) -> str:
    return text.partition("://")[2].removeprefix("/").partition("?")[0]
