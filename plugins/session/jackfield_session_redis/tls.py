"""TLS for every connection, read from its files once: that takes tens of milliseconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from redis.asyncio.connection import RedisSSLContext

from jackfield_session_redis.options import RedisOptions


def tls_context(options: RedisOptions) -> RedisSSLContext | None:
    """Read the files that the options name; None for an address without TLS.

    :raises OSError: when they cannot be used.
    """
    if not options.address().tls:
        return None
    context = RedisSSLContext(
        cert_reqs="required",
        ca_certs=_name(options.tls_ca_file),
        certfile=_name(options.tls_cert_file),
        keyfile=_name(options.tls_key_file),
        check_hostname=options.tls_check_hostname,
    )
    try:
        context.get()
    except OSError as error:
        files = [file for file in (options.tls_ca_file, options.tls_cert_file, options.tls_key_file) if file]
        raise OSError(f"TLS cannot be set up with {', '.join(map(str, files))}: {error}") from error
    return context


def sharing(kind: Any, context: RedisSSLContext) -> Any:
    """Give a maker of connections of a kind, which has few annotations, that all have the same context."""

    def make(**arguments: Any) -> Any:
        connection = kind(**arguments)
        connection.ssl_context = context
        return connection

    return make


def _name(file: Path | None) -> str | None:
    return None if file is None else str(file)
