"""From options to a link."""

from __future__ import annotations

from typing import Any, TypedDict, cast

from redis.asyncio import Connection as PlainConnection, SSLConnection, UnixDomainSocketConnection
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

Arguments = dict[str, Any]  # of the SDK's constructors, which take nearly everything by keyword


def link_to(options: RedisOptions) -> Link:
    """Make the way to the Redis that the options name; nothing is opened."""
    address = options.address()
    limits = Limits(pool_size=options.pool_size, timeout_s=options.timeout_s)
    arguments = _arguments(options, address)
    if address.kind == "sentinel":
        return _SentinelLink(options, address, arguments, limits)
    kind: Any = UnixDomainSocketConnection  # the SDK's constructors have few annotations
    if address.kind != "socket":
        kind = SSLConnection if address.tls else PlainConnection

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

    def __init__(self, options: RedisOptions, address: Address, arguments: Arguments, limits: Limits) -> None:
        kinds: Any = Sentinel, SentinelConnectionPool  # without annotations
        self._sentinel = kinds[0](address.hosts, sentinel_kwargs=_sentinel_arguments(options, address))
        connection = SentinelManagedSSLConnection if address.tls else SentinelManagedConnection
        self._primary = kinds[1](address.service, self._sentinel, connection_class=connection, **arguments)
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
        **_common(options, address),
    }


def _sentinel_arguments(options: RedisOptions, address: Address) -> Arguments:
    password = options.sentinel_password
    common = _common(options, address)
    return {
        "username": options.sentinel_username,
        "password": password.get_secret_value() if password else None,
        "protocol": 2,
        "socket_timeout": options.connect_timeout_s,  # a Sentinel that hangs must not hide the next one
        "ssl": address.tls,
        "retry": Retry(NoBackoff(), 0),
        **common,
    }


def _common(options: RedisOptions, address: Address) -> Arguments:
    arguments: Arguments = {"socket_connect_timeout": options.connect_timeout_s, "driver_info": None}
    if address.tls:
        arguments |= {
            "ssl_ca_certs": str(options.tls_ca_file) if options.tls_ca_file else None,
            "ssl_certfile": str(options.tls_cert_file) if options.tls_cert_file else None,
            "ssl_keyfile": str(options.tls_key_file) if options.tls_key_file else None,
            "ssl_check_hostname": options.tls_check_hostname,
        }
    return arguments
