"""From options to a link."""

from __future__ import annotations

from typing import Any, TypedDict, cast

from redis.asyncio import (
    Connection as PlainConnection,
    ConnectionPool,
    Redis,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.connection import RedisSSLContext
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff

from jackfield_session_redis.address import Address
from jackfield_session_redis.cluster import ClusterLink
from jackfield_session_redis.connection import Connection
from jackfield_session_redis.direct import DirectLink
from jackfield_session_redis.link import Link
from jackfield_session_redis.options import RedisOptions
from jackfield_session_redis.tls import sharing, tls_context

Arguments = dict[str, Any]  # of the SDK's constructors, which take nearly everything by keyword


def link_to(options: RedisOptions) -> Link:
    """Make the way to the Redis that the options name; nothing is opened but files of TLS.

    :raises OSError: when these cannot be used.
    """
    address = options.address()
    limits = Limits(pool_size=options.pool_size, timeout_s=options.timeout_s)
    arguments, tls = _arguments(options, address), tls_context(options)
    if address.kind == "sentinel":
        return _SentinelLink(options, arguments, limits, tls)
    kind: Any = UnixDomainSocketConnection  # the SDK's constructors have few annotations
    if address.kind != "socket":
        kind = PlainConnection if tls is None else sharing(SSLConnection, tls)

    def make(host: tuple[str, int]) -> Connection:
        return cast("Connection", kind(host=host[0], port=host[1], **arguments))

    if address.kind == "cluster":
        return ClusterLink(address.hosts, make, str(address), **limits)
    if address.kind == "socket":
        return DirectLink(lambda: kind(path=address.path, **arguments), str(address), **limits)
    return DirectLink(lambda: make(address.hosts[0]), str(address), **limits)


class Limits(TypedDict):
    """What every link is held to."""

    pool_size: int
    timeout_s: float


class _SentinelLink(DirectLink):
    """Asks Sentinel for the primary whenever it opens a connection."""

    def __init__(
        self, options: RedisOptions, arguments: Arguments, limits: Limits, tls: RedisSSLContext | None
    ) -> None:
        address = options.address()
        known: Any = Sentinel, SentinelConnectionPool  # without annotations
        kinds: list[Any] = [PlainConnection, SentinelManagedConnection]
        if tls is not None:
            kinds = [sharing(SSLConnection, tls), sharing(SentinelManagedSSLConnection, tls)]
        asking = _sentinel_arguments(options)
        self._sentinel = known[0]([])
        self._sentinel.sentinels = [
            Redis.from_pool(ConnectionPool(kinds[0], host=host, port=port, **asking))
            for host, port in address.hosts
        ]
        self._primary = known[1](address.service, self._sentinel, connection_class=kinds[1], **arguments)
        super().__init__(self._primary.make_connection, str(address), **limits)

    async def close(self) -> None:
        await super().close()
        await self._sentinel.aclose()


def _arguments(options: RedisOptions, address: Address) -> Arguments:
    """Everything but the place."""
    password = options.password.get_secret_value() if options.password else None
    return {
        "db": address.database,
        "username": address.username or options.username,
        "password": address.password or password,
        "protocol": 2,  # version 3 brings nothing that is used, and a further round trip
        "socket_timeout": None,  # the link's own time limit is over everything
        "socket_connect_timeout": options.connect_timeout_s,
        "driver_info": None,
    }


def _sentinel_arguments(options: RedisOptions) -> Arguments:
    password = options.sentinel_password
    return {
        "username": options.sentinel_username,
        "password": password.get_secret_value() if password else None,
        "protocol": 2,
        "socket_timeout": options.connect_timeout_s,  # a Sentinel that hangs must not hide the next one
        "socket_connect_timeout": options.connect_timeout_s,
        "driver_info": None,
        "retry": Retry(NoBackoff(), 0),
    }
