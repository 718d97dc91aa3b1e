"""From options to a link."""

from __future__ import annotations

from typing import Any, cast

from redis.asyncio import Connection as PlainConnection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.cluster import ClusterNode, RedisCluster
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
from jackfield_session_redis.direct import DirectLink
from jackfield_session_redis.link import Connection, Link
from jackfield_session_redis.options import RedisOptions

Arguments = dict[str, Any]  # of the SDK's constructors, which take nearly everything by keyword


def link_to(options: RedisOptions) -> Link:
    """Make the way to the Redis that the options name; nothing is opened."""
    address = options.address()
    if address.kind == "cluster":
        return _cluster(options, address)
    if address.kind == "sentinel":
        return _SentinelLink(options, address)
    arguments = _arguments(options, address)
    kind: Any = UnixDomainSocketConnection  # the SDK's constructors have no annotations
    if address.kind == "socket":
        arguments["path"] = address.path
    else:
        kind = SSLConnection if address.tls else PlainConnection
        arguments["host"], arguments["port"] = address.hosts[0]

    def make() -> Connection:
        return cast("Connection", kind(**arguments))

    return DirectLink(make, str(address), pool_size=options.pool_size, timeout_s=options.timeout_s)


class _SentinelLink(DirectLink):
    """Asks Sentinel for the primary whenever it opens a connection."""

    def __init__(self, options: RedisOptions, address: Address) -> None:
        arguments = _arguments(options, address)
        kinds: Any = Sentinel, SentinelConnectionPool  # without annotations
        self._sentinel = kinds[0](address.hosts, sentinel_kwargs=_sentinel_arguments(options, address))
        connection = SentinelManagedSSLConnection if address.tls else SentinelManagedConnection
        self._pool = kinds[1](address.service, self._sentinel, connection_class=connection, **arguments)
        super().__init__(
            self._pool.make_connection,
            str(address),
            pool_size=options.pool_size,
            timeout_s=options.timeout_s,
        )

    async def close(self) -> None:
        await super().close()
        await self._sentinel.aclose()


def _cluster(options: RedisOptions, address: Address) -> Link:
    arguments = _arguments(options, address)
    arguments.pop("db")
    client = RedisCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in address.hosts],
        ssl=address.tls,
        max_connections=2 * options.pool_size,  # those that are being closed count
        **(arguments | {"retry": Retry(NoBackoff(), 0)}),
    )
    return ClusterLink(client, str(address), pool_size=options.pool_size, timeout_s=options.timeout_s)


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
