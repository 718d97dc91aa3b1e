"""`jackfield health`: what the server of a configuration, running on this machine, says of itself."""

from __future__ import annotations

import json
import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from jackfield.cli.commands import tell
from jackfield.cli.configuration import file_argument, loaded
from jackfield.errors import ConfigError

if TYPE_CHECKING:
    from jackfield.config import Config

OK: Final = 0
UNHEALTHY: Final = 1
"""Also when there is no answer. Those who check containers know no other code."""
_PATH: Final = "/health"
_EVERY: Final = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}  # noqa: S104  # asked, not listened on
"""Addresses that stand for all of the machine's, and where one of them can be asked."""


@click.command(
    "health", help="Ask the running server of FILE, on this machine; exits with 1 if it is not well."
)
@click.option("--port", type=click.IntRange(1, 65535), help="Port to ask, instead of the file's.")
@click.option("--timeout", "timeout_s", default=4.0, show_default=True, help="Seconds to wait for an answer.")
@file_argument
def command(file: Path | None, env_file: Path | None, port: int | None, timeout_s: float) -> None:
    """Print the server's status; exit with 0 if it can serve."""
    try:
        config = loaded(file, env_file, {"port": port} if port else None)
    except ConfigError as error:
        tell(error)
        raise SystemExit(UNHEALTHY) from error
    status, told = _asked(config, timeout_s)
    click.echo(told, err=status != 200)
    raise SystemExit(OK if status == 200 else UNHEALTHY)


def _asked(config: Config, timeout_s: float) -> tuple[int, str]:
    """Give the status code of the answer, 0 without one, and what to say of it."""
    connection = _connection(config, timeout_s)
    try:
        connection.request("GET", _PATH)
        response = connection.getresponse()
        return response.status, _status(response.read())
    except (OSError, HTTPException) as error:
        where = f"{connection.host}:{connection.port}"
        return 0, f"No answer from {where}: {getattr(error, 'strerror', None) or type(error).__name__}."
    finally:
        connection.close()


def _connection(config: Config, timeout_s: float) -> HTTPConnection:
    server = config.server
    host = _EVERY.get(server.host, server.host)
    if server.tls_cert is None:
        return HTTPConnection(host, server.port, timeout=timeout_s)
    context = ssl.create_default_context()
    # The certificate is for the name that clients know; nothing secret is asked, of the machine itself.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return HTTPSConnection(host, server.port, timeout=timeout_s, context=context)


def _status(body: bytes) -> str:
    """Give the member `status` of the answer."""
    try:
        return str(json.loads(body)["status"])
    except (ValueError, KeyError, TypeError):
        return "It answers, but not as a server of Jackfield."
