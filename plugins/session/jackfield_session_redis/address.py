"""The address of a Redis, as one line."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final, Literal, Self
from urllib.parse import SplitResult, unquote, urlsplit

Kind = Literal["server", "socket", "sentinel", "cluster"]

_KINDS: Final[dict[str, Kind]] = {"": "server", "sentinel": "sentinel", "cluster": "cluster"}
_PORTS: Final[dict[Kind, int]] = {"server": 6379, "sentinel": 26379, "cluster": 6379, "socket": 0}
_MOST_DATABASES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Address:
    """Where a Redis is. As text it names hosts, never who signs in."""

    kind: Kind
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    """Of a socket."""
    service: str = ""
    """What Sentinel calls the group of servers."""
    database: int = 0
    tls: bool = False
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read an address.

        :raises ValueError: when it is none; the message quotes nothing of it, for it may hold a password.
        """
        try:
            parts = urlsplit(url)
        except ValueError:
            raise ValueError("The address cannot be read. Write it as redis://host:6379/0.") from None
        if parts.query or parts.fragment:
            raise ValueError(
                "The address has a part after ? or #. Give settings as options, and write these characters "
                "of a password as %3F and %23."
            )
        if parts.scheme == "unix":
            return cls._socket(parts)
        kind, tls = _scheme(parts.scheme)
        signed, _, places = parts.netloc.rpartition("@")
        username, password = _credentials(signed)
        hosts = tuple(_host(place, _PORTS[kind]) for place in places.split(","))
        if kind == "server" and len(hosts) > 1:
            raise ValueError("The address names several hosts. Say redis+sentinel:// or redis+cluster://.")
        service, database = _path(kind, parts.path)
        return cls(kind, hosts, "", service, database, tls=tls, username=username, password=password)

    @classmethod
    def _socket(cls, parts: SplitResult) -> Self:
        signed, _, host = parts.netloc.rpartition("@")
        if host or not parts.path.strip("/"):
            raise ValueError("The address of a socket is unix:///path/to/socket, with three slashes.")
        username, password = _credentials(signed)
        return cls("socket", path=unquote(parts.path), username=username, password=password)

    @property
    def is_local(self) -> bool:
        """Whether nothing beyond this machine is talked to, for certain: others may name servers anywhere."""
        named = self.kind in ("server", "socket")
        return named and all(_is_loopback(host) for host, _port in self.hosts)

    def __str__(self) -> str:
        """Name the place for a message."""
        if self.kind == "socket":
            return self.path
        places = ",".join(f"{host}:{port}" for host, port in self.hosts)
        return {
            "sentinel": f'"{self.service}", watched by {places}',
            "cluster": f"the cluster of {places}",
        }.get(self.kind, places)


def _scheme(scheme: str) -> tuple[Kind, bool]:
    """Read what the address is of, and whether it is with TLS."""
    family, _, word = scheme.partition("+")
    if family not in ("redis", "rediss") or word not in _KINDS:
        raise ValueError(
            "The address begins with none of redis://, rediss://, unix://, redis+sentinel://, "
            "rediss+sentinel://, redis+cluster:// and rediss+cluster://."
        )
    return _KINDS[word], family == "rediss"


def _credentials(signed: str) -> tuple[str | None, str | None]:
    username, _, password = signed.partition(":")
    return unquote(username) or None, unquote(password) or None


def _host(place: str, default_port: int) -> tuple[str, int]:
    host, colon, port = place.rpartition(":")
    if not colon or port.endswith("]"):  # no port, or the colons of an IPv6 address
        host, port = place, str(default_port)
    host = unquote(host.removeprefix("[").removesuffix("]"))
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(
            "The address has no host, or a port that is none. Write it as redis://host:6379/0, and / : @ of "
            "a password as %2F %3A %40."
        )
    return host, int(port)


def _path(kind: Kind, path: str) -> tuple[str, int]:
    """Read the service's name and the number of the database."""
    words = [unquote(word) for word in path.split("/") if word]
    service = words.pop(0) if kind == "sentinel" and words else ""
    if kind == "sentinel" and not service:
        raise ValueError("The address does not say what Sentinel calls the servers: add /mymaster.")
    number = words.pop(0) if words else "0"
    if words or not number.isascii() or not number.isdigit() or int(number) > _MOST_DATABASES:
        raise ValueError("The address ends in something that is no number of a database, such as /0.")
    if kind == "cluster" and int(number):
        raise ValueError("A cluster has the database 0 alone.")
    return service, int(number)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
