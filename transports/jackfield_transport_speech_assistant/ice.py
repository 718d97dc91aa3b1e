"""Servers that help a browser and this server find a path: STUN, and TURN with its credentials."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_SCHEMES: Final = ("stun:", "stuns:", "turn:", "turns:")


@dataclass(frozen=True, slots=True)
class IceServer:
    """Addresses of one server, and what it asks for where it is TURN."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = None

    def shown(self) -> dict[str, object]:
        """As `RTCPeerConnection` of a browser takes it."""
        shown: dict[str, object] = {"urls": list(self.urls)}
        if self.username is not None:
            shown |= {"username": self.username, "credential": self.credential}
        return shown


@dataclass(frozen=True, slots=True)
class Relays:
    """The servers of the configuration. With `secret`, credentials are made for each user and expire."""

    servers: str = ""
    """URLs or `host[:port]`, separated by commas; without a scheme it is TURN."""
    username: str = ""
    credential: str = ""
    secret: str = ""
    ttl_s: float = 7_200.0

    def ice_servers(self, user: str, now_s: float) -> list[IceServer]:
        """Give them for a user; `now_s` is seconds since 1970."""
        urls = ice_urls(self.servers)
        name, credential = self._credentials(user, now_s)
        return [
            IceServer((url,), name, credential) if url.startswith("turn") else IceServer((url,))
            for url in urls
        ]

    def _credentials(self, user: str, now_s: float) -> tuple[str | None, str | None]:
        if self.secret:
            # Whoever watches the way to the relay reads the name: it says nothing about the user.
            pseudonym = hashlib.sha256(user.encode()).hexdigest()[:16]
            name = f"{int(now_s + self.ttl_s)}:{pseudonym}"
            return name, relay_password(self.secret, name)
        return (self.username, self.credential) if self.username else (None, None)


def ice_urls(servers: str) -> Sequence[str]:
    """Give the URLs that are named, separated by commas.

    :raises ValueError: for what is no address.
    """
    return [_url(entry) for part in servers.split(",") if (entry := part.strip())]


def relay_password(secret: str, name: str) -> str:
    """The password that a TURN server with this shared secret expects of a name `expiry:user`."""
    digest = hmac.new(secret.encode(), name.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def _url(entry: str) -> str:
    url = entry if entry.startswith(_SCHEMES) else f"turn:{entry}"
    scheme, _, address = url.partition(":")
    if not address or "/" in address or " " in address:
        raise ValueError(f"{entry!r} is no host, host:port or URL such as turn:turn.example.org:3478")
    if scheme.startswith("stun") and "?" in address:
        raise ValueError(f"{entry!r}: the URL of a STUN server has no ?transport=")
    return url
