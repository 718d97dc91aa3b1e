"""The shared role: values, counters and leases that expire."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Executable, bindparam, case, delete, literal_column, select, update

from jackfield.contracts.session import Lease
from jackfield_session_sql.address import Dialect
from jackfield_session_sql.database import Database
from jackfield_session_sql.lifetime import in_ms
from jackfield_session_sql.statements import after_ms, now_ms, upsert
from jackfield_session_sql.tables import counters, digest, leases, shared_values

_KEY: Final = bindparam("key", type_=shared_values.c.shared_key.type)
_VALUE_LIVES: Final = shared_values.c.expires_at_ms > now_ms()
_IS_LEASE: Final = (
    leases.c.shared_key == _KEY,
    leases.c.token == bindparam("lease_token", type_=BigInteger),
    leases.c.expires_at_ms > now_ms(),
)

GET: Final = select(shared_values.c.value).where(shared_values.c.shared_key == _KEY, _VALUE_LIVES)
TAKE: Final = (
    delete(shared_values)
    .where(shared_values.c.shared_key == _KEY, _VALUE_LIVES)
    .returning(shared_values.c.value)
)
RENEW: Final = update(leases).where(*_IS_LEASE).values(expires_at_ms=after_ms())
# The row stays, so that the next token is known to be greater; it is swept like an expired one.
RELEASE: Final = update(leases).where(*_IS_LEASE).values(expires_at_ms=now_ms())


def put(dialect: Dialect, *, only_if_absent: bool) -> Executable:
    """Keep a value; gives a row if it was kept."""
    new = {
        "shared_key": _KEY,
        "value": bindparam("value", type_=shared_values.c.value.type),
        "expires_at_ms": after_ms(),
    }
    return upsert(
        dialect,
        shared_values,
        new,
        lambda excluded: {"value": excluded["value"], "expires_at_ms": excluded["expires_at_ms"]},
        where=shared_values.c.expires_at_ms <= now_ms() if only_if_absent else None,
        returning=(shared_values.c.shared_key,),
    )


def count(dialect: Dialect) -> Executable:
    """Add to a counter, which begins anew if it has expired; gives the sum."""
    lives = counters.c.expires_at_ms > now_ms()
    new = {
        "shared_key": _KEY,
        "amount": bindparam("amount", type_=BigInteger),
        "expires_at_ms": after_ms(),
    }
    return upsert(
        dialect,
        counters,
        new,
        lambda excluded: {
            "amount": case((lives, counters.c.amount + excluded["amount"]), else_=excluded["amount"]),
            "expires_at_ms": case((lives, counters.c.expires_at_ms), else_=excluded["expires_at_ms"]),
        },
        returning=(counters.c.amount,),
    )


def lease(dialect: Dialect) -> Executable:
    """Take a lease that nobody holds; gives its token.

    A token is the time in microseconds, or one more than the last: it grows although rows are swept.
    """
    new = {
        "shared_key": _KEY,
        "token": now_ms() * literal_column("1000"),
        "expires_at_ms": after_ms(),
    }
    return upsert(
        dialect,
        leases,
        new,
        lambda excluded: {
            "token": case(
                (leases.c.token >= excluded["token"], leases.c.token + literal_column("1")),
                else_=excluded["token"],
            ),
            "expires_at_ms": excluded["expires_at_ms"],
        },
        where=leases.c.expires_at_ms <= now_ms(),
        returning=(leases.c.token,),
    )


class SqlShared:
    """Values, counters and leases, each with names of their own. Every method is one statement."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._put = put(database.dialect, only_if_absent=False)
        self._put_if_absent = put(database.dialect, only_if_absent=True)
        self._count = count(database.dialect)
        self._lease = lease(database.dialect)

    async def put(self, key: str, value: str, *, ttl_s: float, only_if_absent: bool = False) -> bool:
        statement = self._put_if_absent if only_if_absent else self._put
        row = {"key": digest(key), "value": value, "ttl_ms": in_ms(ttl_s)}
        return bool(await self._database.write(statement, row))

    async def get(self, key: str) -> str | None:
        rows = await self._database.read(GET, {"key": digest(key)})
        return rows[0].value if rows else None

    async def take(self, key: str) -> str | None:
        rows = await self._database.write(TAKE, {"key": digest(key)})
        return rows[0].value if rows else None

    async def count(self, key: str, *, ttl_s: float, by: int = 1) -> int:
        row = {"key": digest(key), "amount": by, "ttl_ms": in_ms(ttl_s)}
        rows = await self._database.write(self._count, row)
        return int(rows[0].amount)

    async def lease(self, key: str, *, ttl_s: float) -> Lease | None:
        rows = await self._database.write(self._lease, {"key": digest(key), "ttl_ms": in_ms(ttl_s)})
        return Lease(key, rows[0].token) if rows else None

    async def renew(self, lease: Lease, *, ttl_s: float) -> bool:
        row = {"key": digest(lease.key), "lease_token": lease.token, "ttl_ms": in_ms(ttl_s)}
        return await self._database.change(RENEW, row) > 0

    async def release(self, lease: Lease) -> bool:
        row = {"key": digest(lease.key), "lease_token": lease.token}
        return await self._database.change(RELEASE, row) > 0
