"""SQL: a session store in SQLite, PostgreSQL or Azure SQL.

All four roles, and all of them survive a restart. Replicas may share a PostgreSQL or Azure SQL database;
processes of one machine may share a SQLite file.
"""

from __future__ import annotations

from jackfield.contracts.session import SessionStore
from jackfield.errors import JackfieldError
from jackfield.plugin import ROLES, Capabilities, PluginInfo, Site, hookimpl
from jackfield_session_sql.address import EXTRAS, dialect_of, is_on_this_machine
from jackfield_session_sql.options import SqlOptions

__all__ = ["SqlOptions", "make_session", "plugin_info"]


def _capabilities(options: SqlOptions) -> Capabilities:
    return Capabilities(
        roles=ROLES,
        persistent=ROLES,
        network=not is_on_this_machine(options),
        replicated=dialect_of(options) != "sqlite",
    )


@hookimpl
def plugin_info() -> PluginInfo:
    """Describe the plugin."""
    return PluginInfo(
        kind="session",
        name="sql",
        summary="Keeps everything in SQLite, PostgreSQL or Azure SQL; all of it survives a restart.",
        options=SqlOptions,
        extra="jackfield[sql]",
        capabilities=_capabilities,
    )


@hookimpl
def make_session(options: SqlOptions, site: Site) -> SessionStore:
    """Build the store; it connects when it is entered.

    :raises JackfieldError: naming the extra to install, when the driver of the database is missing.
    """
    dialect = dialect_of(options)
    try:
        from jackfield_session_sql.store import SqlStore

        return SqlStore(options, site.logger)
    except ModuleNotFoundError as error:
        if dialect == "sqlite":
            raise
        raise JackfieldError(
            f"{dialect} needs the package {error.name}, which cannot be imported: "
            f"pip install '{EXTRAS[dialect]}'"
        ) from error
