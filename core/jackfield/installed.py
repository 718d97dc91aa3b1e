"""What plugins are installed, known from entry points alone: nothing is imported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from jackfield.plugin import PROJECT, Kind


@dataclass(frozen=True, slots=True)
class InstalledPlugin:
    """A plugin that is installed."""

    kind: Kind
    name: str
    module: str
    distribution: str
    version: str


def group_of(kind: Kind) -> str:
    """Entry-point group of a kind."""
    return f"{PROJECT}.{kind}"


def installed(kind: Kind, points: Iterable[EntryPoint] | None = None) -> list[InstalledPlugin]:
    """List the plugins of a kind by name; two distributions may offer the same one.

    `points` are the entry points of the kind where they were read before.
    """
    if points is None:
        points = entry_points(group=group_of(kind))
    return [
        InstalledPlugin(
            kind=kind,
            name=point.name,
            module=point.value,
            distribution=(point.dist and point.dist.name) or "unknown",  # a half removed one has no name
            version=(point.dist and point.dist.version) or "",
        )
        for point in sorted(points, key=lambda point: point.name)
    ]
