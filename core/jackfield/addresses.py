"""Which addresses other machines reach, and which of them are one subscriber's."""

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


def listens_publicly(host: str) -> bool:
    """Whether an address is reachable from other machines."""
    if host == "localhost":
        return False
    try:
        return not ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return True  # a name; whatever it resolves to, it is not known to be this machine alone
