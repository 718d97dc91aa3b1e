"""The version of the tables: reading it, and bringing them to the newest."""

from __future__ import annotations

from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from jackfield.errors import StoreUnavailable

VERSION_TABLE: Final = "jackfield_version"
COMMAND: Final = "DATABASE_URL=... python -m jackfield_session_sql upgrade"

_LOCK: Final = 0x6A61636B  # any number that nobody else uses


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring the tables to a version; does nothing when they are there.

    Called in a transaction. Another process that does the same waits until it ends.

    :raises StoreUnavailable: when the tables are of a version that this code does not know.
    """
    _wait_for_others(connection)
    _require_known(connection)
    command.upgrade(_config(connection), revision)


def downgrade(connection: Connection, revision: str) -> None:
    """Bring the tables back to an earlier version, or with `base` delete them all."""
    _wait_for_others(connection)
    _require_known(connection)
    command.downgrade(_config(connection), revision)


def require_newest(connection: Connection) -> None:
    """See that nothing is to be done.

    :raises StoreUnavailable: naming the command, when something is.
    """
    _require_known(connection)
    newest = ScriptDirectory.from_config(_config(connection)).get_current_head()
    if current(connection) != newest:
        raise StoreUnavailable(
            f"The tables are of version {current(connection) or 'none'}, and {newest} is needed. Run "
            f"`{COMMAND}`, or set `migrate = true`."
        )


def current(connection: Connection) -> str | None:
    """Give the version of the tables; None where there are none."""
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_revision()


def _require_known(connection: Connection) -> None:
    found = current(connection)
    known = {script.revision for script in ScriptDirectory.from_config(_config(connection)).walk_revisions()}
    if found is not None and found not in known:
        raise StoreUnavailable(
            "The tables are of a version that this release does not know: a newer one made them. Update "
            "Jackfield."
        )


def _wait_for_others(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
    if connection.dialect.name == "mssql":
        connection.execute(
            text(
                "EXEC sp_getapplock @Resource = 'jackfield', @LockMode = 'Exclusive', "
                "@LockOwner = 'Transaction'"
            )
        )


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", "jackfield_session_sql:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
