"""Options of plugins of services: where the service is, how it is reached, and with which key."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from jackfield.plugin import Options

_SCHEMES: Final = ("http", "https")


def host_of(url: str) -> str:
    """The host that a URL names, in lower case; empty if it names none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def is_on_this_machine(url: str) -> bool:
    """Whether the URL names the loopback interface, so that nothing leaves this machine."""
    host = host_of(url)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _service_url(url: str) -> str:
    if not host_of(url) or urlsplit(url).scheme not in _SCHEMES:
        raise ValueError("give a whole URL, such as https://api.example.com/v1 or http://127.0.0.1:8080/v1")
    return url.rstrip("/")


def _header_text(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("a key has neither spaces nor line breaks nor letters beyond ASCII")
    return secret


def _proxy_url(secret: SecretStr) -> SecretStr:
    url = secret.get_secret_value()
    if not host_of(url) or urlsplit(url).scheme not in _SCHEMES:
        raise ValueError("give a whole URL of an HTTP proxy, such as http://proxy.example.com:3128")
    return secret


def _none_if_blank(value: object) -> object:
    return None if value == "" else value


ServiceURL = Annotated[str, AfterValidator(_service_url)]
"""A whole `http` or `https` address; without the slash at its end."""
Key = Annotated[SecretStr, AfterValidator(_header_text)]
"""A secret that can stand in a header."""
OrBlank = BeforeValidator(_none_if_blank)
"""Lets `${NAME:-}` stand for a value that may be missing: `Annotated[str | None, OrBlank]`."""


class ServiceOptions(Options):
    """Base of the options of a plugin whose service is reached over HTTP."""

    extra_headers: dict[str, Key] = Field(
        default_factory=dict, description="Further headers of every request, for gateways that ask for them."
    )
    connect_s: float = Field(5.0, gt=0, description="Seconds within which a connection must stand.")
    silence_s: float = Field(
        60.0,
        gt=0,
        description="Seconds that the service may send nothing. `[timeouts]` bounds the whole wait, and "
        "usually ends it first.",
    )
    keep_connections_s: float = Field(
        60.0, ge=0, description="Seconds that an idle connection is kept for the next request."
    )
    proxy: Annotated[Annotated[SecretStr, AfterValidator(_proxy_url)] | None, OrBlank] = Field(
        None,
        description="URL of an HTTP proxy, which may hold a password. Without it HTTPS_PROXY, HTTP_PROXY, "
        "ALL_PROXY and NO_PROXY count, but never for a service on this machine.",
    )
