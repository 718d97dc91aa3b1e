"""`python -m jackfield_session_sql`: brings a database's tables to a version, or says which they have.

The address is read from the environment variable DATABASE_URL, so that no password stands in a list of
processes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Final, TypeVar

import anyio
import click
from pydantic import SecretStr, ValidationError
from sqlalchemy import Connection

from jackfield.errors import StoreUnavailable
from jackfield_session_sql import schema
from jackfield_session_sql.database import Database
from jackfield_session_sql.options import SqlOptions

T = TypeVar("T")

_VARIABLE: Final = "DATABASE_URL"


@click.group(help=__doc__)
def main() -> None:
    """Choose a command."""


@main.command()
@click.argument("revision", default="head")
def upgrade(revision: str) -> None:
    """Bring the tables to the newest version, or to REVISION."""
    _run(lambda connection: schema.upgrade(connection, revision))


@main.command()
@click.argument("revision")
def downgrade(revision: str) -> None:
    """Bring the tables back to REVISION; `base` deletes them with all that is in them."""
    _run(lambda connection: schema.downgrade(connection, revision))


@main.command()
def current() -> None:
    """Print the version of the tables."""
    click.echo(_run(schema.current) or "none")


def _run(work: Callable[[Connection], T]) -> T:
    """Do something with the database in one transaction."""
    if not os.environ.get(_VARIABLE):
        raise click.ClickException(f"Set {_VARIABLE} to the address of the database.")
    try:
        options = SqlOptions(url=SecretStr(os.environ[_VARIABLE]))
    except ValidationError as error:
        raise click.ClickException("; ".join(item["msg"] for item in error.errors())) from None
    try:
        return anyio.run(_in_transaction, options, work)
    except StoreUnavailable as error:
        raise click.ClickException(str(error)) from None


async def _in_transaction(options: SqlOptions, work: Callable[[Connection], T]) -> T:
    async with Database(options).alone() as connection:
        result = await connection.run_sync(work)
        await connection.commit()
    return result


if __name__ == "__main__":
    sys.exit(main(prog_name="python -m jackfield_session_sql"))
