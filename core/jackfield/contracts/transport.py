"""Transports: doors through which clients come in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

if TYPE_CHECKING:
    from fastapi import APIRouter

    from jackfield.contracts.panel import Panel

DEGRADED: Final = "degraded"
"""What `/health` says of a server that answers, and cannot do what one of its doors is for."""

MORE_FOLLOWS: Final = "jackfield.more_follows"
"""Key that a door may put into a `websocket.send` message, with any value, where it sends the next one at
once: both then leave in one piece. Small messages only; large ones wait for nothing.
"""


@dataclass(frozen=True, slots=True)
class BuiltInScenario:
    """A scenario that a door brings along. None is what `[assistant]` says."""

    name: str
    title: str
    instructions: str | None = None
    greeting: str | None = None


@runtime_checkable
class Transport(Protocol):
    """A door. It translates between a wire contract and the panel, and does nothing else."""

    def routes(self, panel: Panel) -> APIRouter:
        """Give the routes, without the mount. Called once, before the server starts.

        :raises ConfigError: for options that do not go together with what the panel has.
        """
        ...


@runtime_checkable
class Background(Protocol):
    """Work that is not a request: of a transport (a door that is not HTTP), or of anything that a hook of
    an extension built, which is given its panel this way; optional.
    """

    async def run(self, panel: Panel) -> None:
        """Run until cancelled, from the server's start to its end, or return when nothing is left to do.

        Begins before the first request comes in. An exception is logged and ends nothing else.
        """
        ...


@runtime_checkable
class HealthReporter(Protocol):
    """A transport that adds fields to `/health`; optional."""

    async def health(self) -> Mapping[str, Any]:
        """Give the fields. Answered within 100 ms, from what is already known.

        `"status": DEGRADED` says that the door serves only in part; any other status is the core's to tell.
        """
        ...


@runtime_checkable
class PatientReporter(HealthReporter, Protocol):
    """A reporter that has to ask somebody first, and is waited for; optional."""

    health_s: float
    """Seconds that it may take."""


@runtime_checkable
class LargeFrames(Protocol):
    """A transport whose WebSockets take messages of more than a mebibyte; optional."""

    max_frame_bytes: int
    """Size of the largest, in bytes. Somewhat more comes through, so that the door can say why it refuses."""


@runtime_checkable
class ScenarioSource(Protocol):
    """A transport that brings scenarios along, for every door of the server; optional."""

    scenarios: Sequence[BuiltInScenario]
    """Each is there unless the configuration file has one of its name."""
