"""Where the database is and how it is treated."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from jackfield import Options


class SqlOptions(Options):
    """The database by `url`, or by its parts. Neither the address nor the password is ever printed."""

    url: SecretStr | None = Field(
        None,
        description="Address of the database: `sqlite:///jackfield.db` (a file, seen from the folder in "
        "which the server runs), `postgresql://user:password@host/name`, "
        "`mssql://user:password@host/name`. Empty: the parts below say it.",
    )
    dialect: Literal["sqlite", "postgresql", "mssql"] = Field(
        "sqlite", description="Kind of database where `url` is empty; `mssql` is Azure SQL and SQL Server."
    )
    host: str = Field("localhost", description="Host of the database where `url` is empty.")
    port: int | None = Field(None, ge=1, le=65535, description="Its port; none: the usual one.")
    database: str = Field(
        "", description="Its name there. SQLite: the file; empty: `jackfield.db` in the server's folder."
    )
    user: str | None = Field(None, description="Who connects.")
    password: SecretStr | None = Field(None, description="The password.")
    driver: str = Field(
        "ODBC Driver 18 for SQL Server", description="Azure SQL: the ODBC driver as it is installed."
    )
    migrate: bool = Field(
        True,
        description="Whether the start brings the tables to the newest version; without it an outdated "
        "database refuses to start.",
    )
    accept_loss: bool = Field(
        False,
        description="Whether PostgreSQL may lose what it has confirmed when it crashes; without it, `fsync` "
        "or `synchronous_commit` being off stops the start.",
    )
    pool_size: int = Field(10, ge=1, le=200, description="Most connections of this process at once.")
    connect_timeout_s: float = Field(
        4.0, gt=0, description="Seconds for a new connection, and for one of the pool to become free."
    )
    statement_timeout_s: float = Field(
        4.0,
        gt=0,
        description="Seconds for one statement, its wait for locks included; less than `store_seconds` of "
        "`[timeouts]`, so that the error says what happened.",
    )
    poll_s: float = Field(
        0.5,
        gt=0,
        description="Seconds between two looks for signals of other processes. PostgreSQL tells of them at "
        "once and is not asked.",
    )
    signals_kept_s: float = Field(
        60.0,
        gt=0,
        description="Seconds for which signals are kept for listeners that lost their connection; beyond, "
        "they see a gap.",
    )
    max_waiting_signals: int = Field(
        256, ge=1, description="Most signals waiting for one listener; beyond, the oldest are lost."
    )
    sweep_s: float = Field(30.0, gt=0, description="Seconds between two removals of what has expired.")

    @model_validator(mode="after")
    def _can_be_an_address(self) -> Self:
        from jackfield_session_sql.address import check  # it needs these options

        check(self)
        return self
