"""Where clients come from, as far as it tells one subscriber from another."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

_IPV6_NETWORK_BITS: Final = 64
"""What one subscriber usually has: single IPv6 addresses can be changed at will."""


def network_of(connection: HTTPConnection) -> str:
    """Give the client's IPv4 address, or the network of its IPv6 address; empty when it has neither."""
    host = connection.client.host if connection.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 6:
        return str(ipaddress.ip_network((address, _IPV6_NETWORK_BITS), strict=False))
    return host
