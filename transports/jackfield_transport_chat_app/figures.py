"""The figures of a chat app since its process began: what `GET /stats` tells."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from jackfield.contracts.panel import Metrics
from jackfield_transport_chat_app.measurement import Measured

_LATENCIES_KEPT: Final = 1000
"""The newest exchanges, which percentiles are of."""

_Json = dict[str, Any]


class Figures:
    """Sums of what was measured; some are on `/metrics` too, under the transport's name."""

    def __init__(self, metrics: Metrics, transport: str) -> None:
        self._transport = transport
        self._began_s = time.monotonic()
        self._connections = self._chats = self._exchanges = self._errors = self._tool_calls = 0
        self._prompt_tokens = self._completion_tokens = 0
        self._latency_s = self._generation_s = 0.0
        self._latencies_ms: deque[int] = deque(maxlen=_LATENCIES_KEPT)
        self._last_speed: float | None = None
        self._sockets = metrics.gauge(
            "jackfield_sockets", "WebSockets of clients that are open now.", ["transport"]
        )
        self._messages = metrics.counter(
            "jackfield_messages_total", "Messages of users that were answered.", ["transport", "type"]
        )
        self._seconds = metrics.histogram(
            "jackfield_message_seconds",
            "Seconds from a message's arrival to its answer.",
            ["transport", "type"],
        )
        self._refusals = metrics.counter(
            "jackfield_errors_total", "Requests that were answered with an error.", ["transport", "code"]
        )

    @contextmanager
    def connection(self) -> Iterator[None]:
        """Count a connection as long as it lasts."""
        self._connections += 1
        self._sockets.inc(self._transport)
        try:
            yield
        finally:
            self._connections -= 1
            self._sockets.inc(self._transport, by=-1)

    def chat_created(self) -> None:
        """Count a new chat."""
        self._chats += 1

    def error(self) -> None:
        """Count an error of a request that ends by it, which the server counts on `/metrics`."""
        self._errors += 1

    def event_error(self, code: str) -> None:
        """Count an error that a socket is told and survives."""
        self._errors += 1
        self._refusals.inc(self._transport, code)

    def exchanged(self, measured: Measured) -> None:
        """Add an exchange."""
        self._exchanges += 1
        self._prompt_tokens += measured.usage.prompt_tokens
        self._completion_tokens += measured.usage.completion_tokens
        self._tool_calls += len(measured.tools)
        self._latency_s += measured.latency_s
        self._latencies_ms.append(milliseconds(measured.latency_s))
        if measured.usage.completion_tokens:
            self._generation_s += measured.generation_s
            self._last_speed = measured.tokens_per_second
        self._messages.inc(self._transport, "text")
        self._seconds.observe(measured.latency_s, self._transport, "text")

    def stats(self) -> _Json:
        """The body of `GET /stats`; averages are None before the first exchange."""
        tokens = self._prompt_tokens + self._completion_tokens
        average_ms = milliseconds(self._latency_s / self._exchanges) if self._exchanges else None
        return {
            "tokens_used": tokens,
            "latency": None if average_ms is None else f"{average_ms}ms",
            "uptime_seconds": int(time.monotonic() - self._began_s),
            "active_connections": self._connections,
            "chats_total": self._chats,
            "messages_total": 2 * self._exchanges,
            "tokens": {
                "prompt": self._prompt_tokens,
                "completion": self._completion_tokens,
                "total": tokens,
            },
            "latency_ms": self._latency(average_ms),
            "tokens_per_second": self._speed(),
            "tool_calls_total": self._tool_calls,
            "errors_total": self._errors,
        }

    def _latency(self, average_ms: int | None) -> _Json:
        latest = self._latencies_ms
        ordered = sorted(latest)
        return {
            "last": latest[-1] if latest else None,
            "avg": average_ms,
            "p50": _percentile(ordered, 50),
            "p95": _percentile(ordered, 95),
        }

    def _speed(self) -> _Json:
        if self._last_speed is None:
            return {"last": None, "avg": None}
        average = self._completion_tokens / self._generation_s
        return {"last": round(self._last_speed, 1), "avg": round(average, 1)}


def milliseconds(seconds: float) -> int:
    """Whole milliseconds."""
    return round(seconds * 1000)


def _percentile(ordered: list[int], percent: int) -> int | None:
    """The smallest value that so many percent of the values do not exceed."""
    if not ordered:
        return None
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(rank, 1) - 1]
