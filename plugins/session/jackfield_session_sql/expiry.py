"""Removing what has expired, a part at a time."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Delete, Integer, Table, and_, bindparam, delete, select

from jackfield_session_sql.database import Database
from jackfield_session_sql.lifetime import in_ms
from jackfield_session_sql.statements import now_ms
from jackfield_session_sql.tables import channels, counters, leases, shared_values, signals, windows

_AT_ONCE: Final = 1000
_REMEMBERED_S: Final = 86_400.0
"""How long the token of an expired lease is remembered: so much may the clock be set back."""


def _sweep(table: Table, key: Column[bytes], due_ms: Column[int]) -> Delete:
    """Delete some rows that are due.

    They are due still when they are deleted, for somebody may have brought one back to life since it was
    found; those that somebody holds are left for the next time.
    """
    due = due_ms <= now_ms() - bindparam("late_ms", type_=BigInteger)
    found = (
        select(key)
        .where(due)
        .order_by(due_ms)
        .limit(bindparam("most", type_=Integer))
        .with_for_update(skip_locked=True)
    )
    return delete(table).where(and_(key.in_(found), due))


SWEEPS: Final[tuple[tuple[Delete, int], ...]] = (
    (_sweep(windows, windows.c.session_key, windows.c.expires_at_ms), 0),
    (_sweep(shared_values, shared_values.c.shared_key, shared_values.c.expires_at_ms), 0),
    (_sweep(counters, counters.c.shared_key, counters.c.expires_at_ms), 0),
    (_sweep(leases, leases.c.shared_key, leases.c.expires_at_ms), in_ms(_REMEMBERED_S)),
    (_sweep(signals, signals.c.channel_key, signals.c.expires_at_ms), 0),
    (_sweep(channels, channels.c.channel_key, channels.c.idle_after_ms), 0),
)
"""What deletes, and milliseconds for which it waits after something is due."""


async def sweep(database: Database) -> int:
    """Remove what has expired; gives the number of rows.

    :raises StoreUnavailable: when the database does not answer; what is left is for the next time.
    """
    removed = 0
    for statement, late_ms in SWEEPS:
        while True:
            number = await database.change(statement, {"late_ms": late_ms, "most": _AT_ONCE})
            removed += number
            if number < _AT_ONCE:
                break
    return removed
