"""One connection to a server, as far as it is used."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

Part: TypeAlias = bytes | str | int
"""Part of a command; text is plain ASCII."""


class Connection(Protocol):
    """What is used of one of the SDK's connections."""

    async def connect(self) -> None:
        """Open it, unless it is open, and sign in."""
        ...

    async def disconnect(self, nowait: bool = False) -> None:
        """Close it; it can be opened again."""
        ...

    async def can_read(self) -> bool:
        """Whether something came that nobody asked for: data, or its end."""
        ...

    async def send_command(self, *parts: Part) -> None:
        """Write a command."""
        ...

    async def read_response(self, *, timeout: float | None = None) -> Any:  # noqa: ASYNC109  # the SDK's
        """Wait for an answer; with `timeout` seconds None when none came."""
        ...
