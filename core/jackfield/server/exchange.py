"""What is known of the request that is being answered, from its first middleware to its log line."""

from __future__ import annotations

import re
import secrets
from collections.abc import MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from starlette.types import Message

from jackfield.traceparent import HEADER as TRACEPARENT, MOST_CHARS

_KEY: Final = "jackfield.exchange"
_STATUSES: Final = {"websocket.accept": 101, "websocket.close": 403}
"""Statuses of answers that do not tell theirs."""
_ACCEPTABLE: Final = re.compile(r"[A-Za-z0-9_-]{8,64}")

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Id of the request that the running task answers; empty outside of requests."""


@dataclass(slots=True, eq=False)
class Exchange:
    """One HTTP request or one WebSocket connection."""

    request_id: str
    began_s: float
    """Of the monotonic clock."""
    status: int = 0
    """Status that was sent; 0 before that. 101 for an accepted WebSocket."""
    code: str = ""
    """Code of the error that was sent; empty without one."""
    traceparent: str = ""
    """The client's header, as it came; empty without one, and for one that is none."""

    def answered(self, message: Message) -> None:
        """Note the status of the answer that begins with this message, and put the id into it."""
        if not self.status:
            self.status = message.get("status") or _STATUSES.get(message["type"], 0)
            header = (b"x-request-id", self.request_id.encode())
            message["headers"] = [*message.get("headers", ()), header]


def open_exchange(scope: MutableMapping[str, Any], now_s: float) -> Exchange:
    """Begin an exchange and leave it in the scope. The client's `X-Request-Id` is kept if it is harmless."""
    wished, trace = "", ""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            wished = wished or value.decode("latin-1")
        elif name == TRACEPARENT and len(value) <= MOST_CHARS:
            trace = value.decode("latin-1")
    known = wished if _ACCEPTABLE.fullmatch(wished) else f"req_{secrets.token_hex(8)}"
    exchange = scope[_KEY] = Exchange(known, now_s, traceparent=trace)
    return exchange


def exchange_of(scope: MutableMapping[str, Any]) -> Exchange | None:
    """Give the exchange that a request belongs to; None outside of this server's middleware."""
    exchange = scope.get(_KEY)
    return exchange if isinstance(exchange, Exchange) else None
