"""Why a server cannot be reached, in words that hold nothing it said."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
from mcp import MCPError, types


def fault_of(error: Exception, status: int) -> str:
    """Say what went wrong; `status` is that of the last HTTP answer with an error, or 0."""
    return ", ".join(dict.fromkeys(_words(single, status) for single in _single(error)))


def _single(error: Exception) -> Iterator[Exception]:
    if isinstance(error, ExceptionGroup):
        for inner in error.exceptions:
            yield from _single(inner)
    else:
        yield error


def _words(error: Exception, status: int) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError):
        return f"{error.strerror}: {error.filename}"
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        return "nobody answers at its address"
    if isinstance(error, MCPError) and status:
        return f"it answers with status {status}"
    if isinstance(error, MCPError) and error.code == types.CONNECTION_CLOSED:
        return "it ended before it had answered"
    if isinstance(error, MCPError):
        return f"it answers with the error {error.code}"
    return type(error).__name__
