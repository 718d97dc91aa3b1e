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
        if "origin" not in connection.headers or _ANY in self._allowed:
            return True
        return self.names(connection)

    def names(self, connection: HTTPConnection) -> bool:
        """Whether it surely is from a page of a configured origin, or of this server; `*` names nobody."""
        origin = connection.headers.get("origin", "").lower()
        # Without the scheme: a proxy that ends TLS need not tell that it did.
        return bool(origin) and (
            origin in self._allowed
            or origin.partition("://")[2] == connection.headers.get("host", "").lower()
        )
