"""Chains of providers: what a request says of them, and what a provider may offer for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


def _tell_nobody(*_: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Failover:
    """How a request wants a chain to go from one provider to the next. Providers themselves ignore it."""

    after_s: float
    """Seconds without useful output after which a provider is left, where there is a next one."""
    left: Callable[[], None] = _tell_nobody
    """Called whenever one was left for the next. Returns at once."""
    asked: Callable[[str, str], None] = _tell_nobody
    """Called with section and plugin of each provider that is asked. Returns at once."""
    failed: Callable[[str, str, str], None] = _tell_nobody
    """Called with section and plugin of each that failed, and its error's class name. Returns at once."""


@runtime_checkable
class Probed(Protocol):
    """A provider that can find out by itself whether it works again; optional.

    One that failed is then asked so in the background, instead of being tried with a user's request.
    """

    async def probe(self) -> None:
        """Return when it would serve a request now. Quick, and at no price worth mentioning.

        :raises ProviderError: when it would not.
        """
        ...
