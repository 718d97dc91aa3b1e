"""What SQL has no common words for: the database's clock, and inserting or changing in one statement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from sqlalchemy import BigInteger, Column, ColumnElement, Table, bindparam, cast
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ClauseElement, Executable
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import FunctionElement

from jackfield_session_sql.address import Dialect

Excluded: TypeAlias = ReadOnlyColumnCollection[str, Any]
"""The row that could not be inserted because its key is there."""


class now_ms(FunctionElement[int]):  # noqa: N801  # reads as the function that it is in SQL
    """Milliseconds since 1970 by the database's own clock, which all replicas share."""

    type = BigInteger()
    inherit_cache = True


@compiles(now_ms, "postgresql")
def _now_postgresql(_element: now_ms, _compiler: SQLCompiler, **_kwargs: object) -> str:
    # Not now(): that is when the transaction began, and this one may have waited for a lock.
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"


@compiles(now_ms, "sqlite")
def _now_sqlite(_element: now_ms, _compiler: SQLCompiler, **_kwargs: object) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


@compiles(now_ms, "mssql")
def _now_mssql(_element: now_ms, _compiler: SQLCompiler, **_kwargs: object) -> str:
    return "DATEDIFF_BIG(millisecond, '1970-01-01', SYSUTCDATETIME())"


def after_ms(ttl_ms: str = "ttl_ms") -> ColumnElement[int]:
    """So many milliseconds from now; they are the parameter of that name."""
    return now_ms() + bindparam(ttl_ms, type_=BigInteger)


def upsert(
    dialect: Dialect,
    table: Table,
    values: Mapping[str, Any],
    changes: Callable[[Excluded], Mapping[str, ColumnElement[Any]]],
    *,
    where: ColumnElement[bool] | None = None,
    returning: tuple[Column[Any], ...],
) -> Executable:
    """Insert a row, or change the one that has its key: one statement, one step.

    `changes` is given the row that could not be inserted. Where the row is there and `where` is not true
    of it, nothing happens and no row comes back.
    """
    if dialect == "mssql":
        typed = {name: cast(value, table.c[name].type) for name, value in values.items()}
        return Merge(table, typed, changes(table.alias("excluded").c), where, returning)
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    row = insert(table).values(values)
    return row.on_conflict_do_update(
        index_elements=list(table.primary_key.columns), set_=changes(row.excluded), where=where
    ).returning(*returning)


class Merge(Executable, ClauseElement):
    """`upsert` in the words of SQL Server. The lock keeps two who insert the same key apart."""

    inherit_cache = False
    __visit_name__ = "merge"

    def __init__(
        self,
        table: Table,
        values: Mapping[str, Any],
        changes: Mapping[str, ColumnElement[Any]],
        where: ColumnElement[bool] | None,
        returning: tuple[Column[Any], ...],
    ) -> None:
        self.table: Final = table
        self.values: Final = values
        self.changes: Final = changes
        self.where: Final = where
        self.returning: Final = returning


@compiles(Merge, "mssql")
def _merge_mssql(merge: Merge, compiler: SQLCompiler, **_kwargs: object) -> str:
    def sql(element: ClauseElement) -> str:
        return compiler.process(element)

    name = compiler.preparer.format_table(merge.table)
    names = [compiler.preparer.quote(name) for name in merge.values]
    same = " AND ".join(
        f"{sql(column)} = excluded.{compiler.preparer.quote(column.name)}"
        for column in merge.table.primary_key.columns
    )
    row = ", ".join(sql(value) for value in merge.values.values())
    matched = "" if merge.where is None else f" AND ({sql(merge.where)})"
    changes = ", ".join(
        f"{compiler.preparer.quote(key)} = {sql(value)}" for key, value in merge.changes.items()
    )
    columns = ", ".join(names)
    inserted = ", ".join(f"excluded.{name}" for name in names)
    output = ", ".join(f"inserted.{compiler.preparer.quote(column.name)}" for column in merge.returning)
    return (  # of names of this module's own tables; values are parameters
        f"MERGE INTO {name} WITH (HOLDLOCK) USING (SELECT {row}) AS excluded ({columns}) ON {same} "  # noqa: S608
        f"WHEN MATCHED{matched} THEN UPDATE SET {changes} "
        f"WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({inserted}) OUTPUT {output};"
    )
