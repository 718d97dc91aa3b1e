"""Whose web pages may open a WebSocket. Browsers ask nobody; they only say where the page is from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

_ANY: Final = "*"


class Origins:
    """The configured web origins, such as `https://example.org`; `*` welcomes everybody."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = frozenset(origin.lower() for origin in allowed)

    def welcomes(self, connection: HTTPConnection) -> bool:
        """Whether the page may connect: one of a configured origin, one of this server, or no page at all."""
        origin = connection.headers.get("origin")
        if origin is None or _ANY in self._allowed:
            return True
        origin = origin.lower()
        # Without the scheme: a proxy that ends TLS need not tell that it did.
        return (
            origin in self._allowed
            or origin.partition("://")[2] == connection.headers.get("host", "").lower()
        )
