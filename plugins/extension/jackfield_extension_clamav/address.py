"""Where clamd listens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

import anyio
from anyio.abc import ByteStream


@dataclass(frozen=True, slots=True)
class Address:
    """A socket of this machine by its path, or a host and a port."""

    path: str = ""
    host: str = ""
    port: int = 0

    @classmethod
    def of(cls, url: str) -> Self:
        """Read `unix:///path` or `tcp://host:port`.

        :raises ValueError: saying what would be right.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme == "unix" and not parts.netloc and len(parts.path) > 1:
            return cls(path=parts.path)
        if parts.scheme == "tcp" and parts.hostname and port and not parts.path:
            return cls(host=parts.hostname, port=port)
        raise ValueError("give unix:///path/of/the/socket or tcp://host:port, such as tcp://127.0.0.1:3310")

    async def connect(self) -> ByteStream:
        """Connect.

        :raises OSError: when nobody listens there.
        """
        if self.path:
            return await anyio.connect_unix(self.path)
        return await anyio.connect_tcp(self.host, self.port)
