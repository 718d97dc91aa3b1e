"""When a failed request is sent again. SDKs do not retry; only the core does (so nobody retries twice)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio

from jackfield.errors import ProviderError

T = TypeVar("T")

RETRIES: Final = 2
"""How often a failed request is repeated before any useful output came."""
BACKOFF_S: Final = 0.5
"""Wait before the first repetition; it doubles."""
LONGEST_WAIT_S: Final = 10.0
"""Longest `Retry-After` that is waited for."""


def wait_before_retry(error: ProviderError, attempt: int) -> float | None:
    """Seconds to wait before attempt `attempt + 1` (the first is 0); None when there shall be none."""
    if not error.retryable or attempt >= RETRIES:
        return None
    wait_s = BACKOFF_S * 2**attempt if error.retry_after_s is None else error.retry_after_s
    return wait_s if wait_s <= LONGEST_WAIT_S else None


async def retrying(call: Callable[[], Awaitable[T]]) -> T:
    """Call, and call again after failures that may pass.

    :raises ProviderError: the last failure.
    """
    attempt = 0
    while True:
        try:
            return await call()
        except ProviderError as error:
            wait_s = wait_before_retry(error, attempt)
            if wait_s is None:
                raise
        await anyio.sleep(wait_s)
        attempt += 1
