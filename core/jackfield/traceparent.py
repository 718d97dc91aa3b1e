"""The trace of the client that a request belongs to, as its header `traceparent` names it (W3C)."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

HEADER: Final = b"traceparent"
MOST_CHARS: Final = 128
"""What is longer is no such header: version 00 has 55."""

traceparent: ContextVar[str] = ContextVar("traceparent", default="")
"""The header of the request that the running task answers, as it came; empty without one."""
