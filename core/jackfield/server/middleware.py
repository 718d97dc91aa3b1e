"""The outermost layer of every request: its id, its figures and its line in the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jackfield.contracts.panel import Metrics
from jackfield.server.exchange import Exchange, open_exchange, request_id
from jackfield.traceparent import traceparent

logger = logging.getLogger("jackfield.access")

CORE: Final = "core"
CLIENT_GONE: Final = 499
"""Counted and logged when the client left before its answer was complete."""
_QUIET: Final = frozenset({"/health", "/metrics"})


@dataclass(frozen=True, slots=True)
class RouteLabel:
    """Whose route it is, and its path as a pattern: what a user put into it stays out of the log."""

    transport: str
    path: str


class RequestContext:
    """Gives each request an id, counts it and logs it. Pure ASGI.

    `labels` maps endpoints to their routes; what is not in it belongs to the core. What a WebSocket sends
    passes by untouched: `in_flight.Socket` marks the answer to its request.
    """

    def __init__(
        self, app: ASGIApp, *, labels: Mapping[Callable[..., Any], RouteLabel], metrics: Metrics
    ) -> None:
        self._app = app
        self._labels = labels
        self._requests = metrics.counter(
            "jackfield_requests_total", "Requests and WebSocket connections.", ["transport", "status"]
        )
        self._errors = metrics.counter(
            "jackfield_errors_total", "Requests that were answered with an error.", ["transport", "code"]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        exchange = open_exchange(scope, time.monotonic())
        token = request_id.set(exchange.request_id)
        traced = traceparent.set(exchange.traceparent) if exchange.traceparent else None

        def send_marked(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                exchange.answered(message)
            return send(message)

        try:
            await self._app(scope, receive, send_marked if scope["type"] == "http" else send)
        finally:
            self._finish(scope, exchange)
            request_id.reset(token)
            if traced is not None:
                traceparent.reset(traced)

    def _finish(self, scope: Scope, exchange: Exchange) -> None:
        status = exchange.status or CLIENT_GONE
        label = self._labels.get(scope.get("endpoint", CORE))
        transport = label.transport if label else CORE
        self._requests.inc(transport, str(status))
        if exchange.code:
            self._errors.inc(transport, exchange.code)
        path = label.path if label else scope["path"]
        level = logging.DEBUG if path in _QUIET else logging.INFO
        if logger.isEnabledFor(level):
            client = scope["client"][0] if scope.get("client") else "-"
            method = scope.get("method", "WEBSOCKET")
            seconds = time.monotonic() - exchange.began_s
            logger.log(level, "%s %s %s %d in %.3f s", client, method, path, status, seconds)
