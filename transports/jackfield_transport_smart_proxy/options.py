"""What an operator may say of the proxy, and the addresses of backends."""

from __future__ import annotations

import ipaddress
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from jackfield import Options

_MIB: Final = 1024 * 1024
_DAY_S: Final = 86_400.0


class BackendOptions(Options):
    """The server to which messages are passed on."""

    url: str = Field(
        "http://127.0.0.1:8000",
        repr=False,
        description="Address of the backend: http or https, its name, and perhaps a port, a path, and a user "
        "with a password. Nothing else is ever contacted.",
    )
    probe_path: str = Field(
        "/health", pattern=r"^/[!-~]*$", description="Path, after `url`, that says whether it is healthy."
    )
    probe_interval_s: float = Field(3.0, gt=0, le=_DAY_S, description="Seconds between two such questions.")
    connect_timeout_s: float = Field(2.0, gt=0, le=_DAY_S, description="Seconds that connecting may take.")
    timeout_s: float = Field(60.0, gt=0, le=_DAY_S, description="Seconds that an answer may take in all.")
    expect_service: str | None = Field(
        None, description="What `service` must be in its health, so that no other server is taken for it."
    )

    @field_validator("url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            whole = False
        if not whole or parts.query or parts.fragment:
            raise ValueError("The address is not like http://127.0.0.1:8000, without ? and #.")
        return url.rstrip("/")


class FallbackOptions(Options):
    """What is answered while the backend is away."""

    use: Literal["text", "assistant", "none"] = Field(
        "text",
        description="`text`: always the same text; `assistant`: this server's own model, recogniser and "
        "voice; `none`: an error.",
    )
    text: str = Field(
        "The assistant is not available right now. Please try again in a moment.",
        min_length=1,
        description="The text of `text`.",
    )
    llm: str | None = Field(None, description="A named model for `assistant`, instead of the default.")


class ClipOptions(Options):
    """Spoken answers of the backend, kept here once somebody has fetched them."""

    directory: str = Field("static/proxy", min_length=1, description="Folder that nothing else uses.")
    ttl_s: float = Field(3600.0, gt=0, description="Seconds that a spoken answer can be fetched.")
    max_total_bytes: int = Field(1024 * _MIB, ge=1, description="Most bytes of them all; the oldest go.")
    max_bytes: int = Field(32 * _MIB, ge=1, description="Most bytes of one; a larger one is not served.")


class SmartProxyOptions(Options):
    """Where the proxy passes messages on to, and what it does meanwhile."""

    backend: BackendOptions = Field(BackendOptions(), description="The server that answers.")
    fallback: FallbackOptions = Field(FallbackOptions(), description="What is answered without it.")
    clips: ClipOptions = Field(ClipOptions(), description="Spoken answers of the backend.")
    max_text_chars: int = Field(
        4096, ge=1, le=1_000_000, description="Characters of a typed message, after normalising."
    )
    push_replies: bool = Field(
        False,
        description="Whether a user's WebSockets on this server are sent what their `POST /chat` is "
        "answered; needs `auth`.",
    )
    max_sockets_per_user: int = Field(8, ge=1, description="WebSockets that a user may have open at once.")


def is_this_machine(url: str) -> bool:
    """Whether the address is on this machine for certain."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
