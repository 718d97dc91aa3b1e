"""Serving a configuration until the process is asked to stop."""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import anyio
import uvicorn
from fastapi import FastAPI

from jackfield.assembly import assemble_in_part
from jackfield.config.sections import Config, TimeoutsSection
from jackfield.errors import ConfigError, PluginError, Problem
from jackfield.server.app import create_app_in_part
from jackfield.server.connections import StrictHttpProtocol
from jackfield.server.gathering import GatheringWebSocketProtocol
from jackfield.server.in_flight import InFlight
from jackfield.server.logging import configure_logging
from jackfield.server.ports import bind, busy_port

logger = logging.getLogger(__name__)

OK: Final = 0
PROBLEM: Final = 2
"""The configuration, a plugin or the port needs mending."""
INTERRUPTED: Final = 130
"""Ctrl-C."""
_BACKSTOP_S: Final = 5
MAX_SOCKET_BYTES: Final = 1024 * 1024
"""Of one WebSocket message, after decompression; so much more where a door takes large ones. Doors may allow
less, and say why they refuse it."""


def serve(config: Config, *, ready: Callable[[str], None] | None = None) -> int:
    """Serve until SIGTERM or SIGINT, and give the process's exit code.

    `ready` is called with the server's address once it listens. Problems are printed to standard error, a
    line each. After SIGTERM it serves on for `timeouts.drain_seconds`, unless there is another one, and then
    lets running turns end, for `timeouts.shutdown_seconds`. SIGINT ends them at once, and a second one the
    process, whatever it is doing.
    """
    try:
        configure_logging(config.server)
        app, listener = _prepare(config)
        with listener:
            return anyio.run(
                _serve,
                config,
                app,
                listener,
                ready,
                backend_options={"use_uvloop": _has_uvloop()},
            )
    except (ConfigError, PluginError) as error:
        sys.stderr.writelines(f"jackfield: {problem}\n" for problem in error.problems)
        return PROBLEM
    except KeyboardInterrupt:
        return INTERRUPTED


def _prepare(config: Config) -> tuple[FastAPI, socket.socket]:
    """Take the port and assemble the server, and tell of all that is wrong with either.

    :raises ConfigError: with every problem.
    """
    problems: list[Problem] = []
    listener: socket.socket | None = None
    app: FastAPI | None = None
    try:
        listener = bind(config.server.host, config.server.port)
    except ConfigError as error:
        problems += error.problems
    try:
        app = _assembled(config)
    except ConfigError as error:
        problems += error.problems
    if listener is None or app is None:
        if listener is not None:
            listener.close()
        raise ConfigError(problems)
    return app, listener


def _assembled(config: Config) -> FastAPI:
    assembly, problems = assemble_in_part(config)
    app, more = create_app_in_part(assembly, problems)
    if app is None or problems:
        raise ConfigError([*problems, *more])
    return app


async def _serve(
    config: Config, app: FastAPI, listener: socket.socket, ready: Callable[[str], None] | None
) -> int:
    """Open everything, serve, and close everything; gives the exit code."""
    server = Server(uvicorn_config(config, app), app.state.in_flight, config.timeouts)
    if ready is not None:
        server.when_listening = lambda: ready(_address(config, listener))
    failure: ConfigError | PluginError | None = None
    starting = anyio.CancelScope()
    async with anyio.create_task_group() as tasks:
        await tasks.start(_obey_signals, server, starting)
        try:
            with starting:
                async with app.router.lifespan_context(app):
                    failure = await _listen(server, config, listener)
        except (ConfigError, PluginError) as error:
            failure = error  # raised below: a task group would wrap it
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return INTERRUPTED if server.interrupted else OK


async def _listen(server: Server, config: Config, listener: socket.socket) -> ConfigError | None:
    try:
        await server.serve([listener])
    except OSError as error:
        # Bound long ago; somebody else began to listen there meanwhile.
        return busy_port(config.server.host, config.server.port, error)
    return None


async def _obey_signals(
    server: Server,
    starting: anyio.CancelScope,
    *,
    task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            if server.interrupted and number == signal.SIGINT:
                os._exit(INTERRUPTED)  # a library that loads or closes a model cannot be stopped otherwise
            server.stop(now=number == signal.SIGINT)
            if not server.started:
                logger.info("stopping once nothing is being loaded; another Ctrl-C stops at once")
                starting.cancel()


class Server(uvicorn.Server):
    """uvicorn, but that it leaves signals to us, and WebSockets and running turns to their registry."""

    def __init__(self, config: uvicorn.Config, in_flight: InFlight, timeouts: TimeoutsSection) -> None:
        super().__init__(config)
        self.when_listening: Callable[[], None] = lambda: None
        self.interrupted = False
        self._in_flight = in_flight
        self._timeouts = timeouts
        self._drained_s = math.inf
        """When it stops listening, of the monotonic clock."""
        self._now = anyio.Event()

    def stop(self, *, now: bool) -> None:
        """Stop accepting, once drained; running turns end when they are done. Or do both now."""
        drain_s = self._timeouts.drain_seconds
        if now or self._in_flight.draining or not self.started or not drain_s:
            self.should_exit = True
        else:
            logger.info("serving on for %g s, and then stopping", drain_s)
            self._drained_s = time.monotonic() + drain_s
        self._in_flight.draining = True
        if now:
            self.interrupted = True
            self._now.set()

    async def on_tick(self, counter: int) -> bool:
        """Do what is done ten times a second; gives whether to stop."""
        return await super().on_tick(counter) or time.monotonic() > self._drained_s

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        self.when_listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, close the WebSockets, wait for what runs, and end what runs too long."""
        for server in self.servers:
            server.close()
        await self._in_flight.close_sockets()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._end_what_runs)
            await super().shutdown(sockets)
            tasks.cancel_scope.cancel()

    async def _end_what_runs(self) -> None:
        with anyio.move_on_after(self._timeouts.shutdown_seconds):
            await self._now.wait()
        self._in_flight.stop()


def uvicorn_config(config: Config, app: FastAPI) -> uvicorn.Config:
    """How uvicorn is to serve.

    :raises ConfigError: when the certificate and its key cannot be used.
    """
    server = config.server
    settings = uvicorn.Config(
        app,
        http=StrictHttpProtocol,
        ws=GatheringWebSocketProtocol,
        ws_max_size=_max_socket_bytes(app),
        ws_per_message_deflate=server.websocket_compression,
        lifespan="off",  # the lifespan is entered here, so that its errors stay errors
        log_config=None,
        access_log=False,  # it would show query strings; the outermost layer writes its own
        proxy_headers=True,
        forwarded_allow_ips=list(server.trusted_proxies),
        server_header=False,
        ssl_certfile=server.tls_cert,
        ssl_keyfile=server.tls_key,
        timeout_graceful_shutdown=math.ceil(config.timeouts.shutdown_seconds) + _BACKSTOP_S,
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    try:
        settings.load()
    except (ssl.SSLError, OSError, ValueError) as error:
        message = f"The certificate and its key cannot be used: {type(error).__name__}."
        raise ConfigError([Problem("server.tls_cert", message, "Name a PEM pair that fits.")]) from error
    return settings


def _max_socket_bytes(app: FastAPI) -> int:
    largest: int = app.state.max_frame_bytes
    return largest + MAX_SOCKET_BYTES if largest > MAX_SOCKET_BYTES else MAX_SOCKET_BYTES


def _address(config: Config, listener: socket.socket) -> str:
    """The address that a client on this machine can use."""
    scheme = "https" if config.server.tls_cert else "http"
    host = config.server.host
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104  # read, not listened on
        host = "127.0.0.1" if listener.family == socket.AF_INET else "::1"
    port: int = listener.getsockname()[1]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _has_uvloop() -> bool:
    try:
        import uvloop  # noqa: F401  # not made for every platform
    except ImportError:
        return False
    return True
