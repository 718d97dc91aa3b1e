"""What clients are told when a speech-to-speech model gives no session."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from jackfield.errors import ProtocolError, ProviderError, ProviderRateLimited, ProviderTimedOut

_RETRY_AFTER_S: Final = 5
"""For clients of a provider that does not say how long to wait."""


@contextmanager
def refusals() -> Iterator[None]:
    """What providers fail in inside is a client's refusal: see `refusal_of`."""
    try:
        yield
    except ProviderError as error:
        raise refusal_of(error) from None


def refusal_of(error: ProviderError) -> ProtocolError:
    """Give the refusal that a provider's failure is to a client; it holds nothing of what the provider said.

    503 `provider_rate_limited` with `Retry-After`, 504 `provider_timeout` or 502 `provider_failed`.
    """
    if isinstance(error, ProviderRateLimited):
        wait_s = _RETRY_AFTER_S if error.retry_after_s is None else max(1, math.ceil(error.retry_after_s))
        detail = "The speech-to-speech model takes no more sessions now; try again later."
        return ProtocolError(503, "provider_rate_limited", detail, headers={"Retry-After": str(wait_s)})
    if isinstance(error, ProviderTimedOut):
        return ProtocolError(504, "provider_timeout", "The speech-to-speech model did not answer in time.")
    return ProtocolError(502, "provider_failed", "The speech-to-speech model gave no session.")
