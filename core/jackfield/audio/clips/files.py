"""What every place for clips does, and which of them have to go."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol

from jackfield.contracts.panel import StoredClip

_CLEAN_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class ClipLimits:
    """How long clips are kept, counted from the writing, and how large all of them may be."""

    ttl_s: float
    max_total_bytes: int

    @property
    def clean_s(self) -> float:
        """Seconds between two looks at what has to go."""
        return min(_CLEAN_S, self.ttl_s)


class ClipFiles(AbstractAsyncContextManager["ClipFiles"], Protocol):
    """Where clips are kept by name. Open inside its context; several servers may share the place.

    :raises ConfigError: on opening, with what the operator has to mend.
    """

    limits: ClipLimits

    @property
    def total_bytes(self) -> int:
        """Size of all of them, as far as is known without asking."""
        ...

    async def keep(self, name: str, data: bytes, media_type: str) -> None:
        """Store a file whole, or leave nothing of it. When cancelled the caller has control at once.

        :raises StoreUnavailable: when the place does not take it.
        """
        ...

    async def find(self, name: str, media_type: str) -> StoredClip | None:
        """Give a file, which must have the name of a clip; None when it is unknown or expired.

        :raises StoreUnavailable: when that cannot be told now.
        """
        ...

    async def clean(self) -> None:
        """Delete what is too old, then the oldest until the rest is small enough. Touches clips alone.

        :raises StoreUnavailable: when that fails.
        """
        ...

    async def ping(self) -> None:
        """Do nothing, but fail when the place cannot be reached.

        :raises StoreUnavailable: when it cannot.
        """
        ...


@dataclass(frozen=True, slots=True, order=True)
class KeptClip:
    """A clip as the place lists it."""

    written_at: float
    """Seconds since the epoch, by the clock of the place."""
    name: str
    size_bytes: int


def surplus(
    clips: Iterable[KeptClip], limits: ClipLimits, now: float, *, spared_s: float = 0.0
) -> tuple[list[KeptClip], int]:
    """Tell which clips have to go, and the size of those that stay.

    Whoever is younger than `spared_s` stays, however large all of them are.
    """
    gone: list[KeptClip] = []
    stay: list[KeptClip] = []
    for clip in clips:
        (gone if now - clip.written_at >= limits.ttl_s else stay).append(clip)
    total_bytes = sum(clip.size_bytes for clip in stay)
    for clip in sorted(stay):
        if total_bytes <= limits.max_total_bytes or now - clip.written_at < spared_s:
            break
        gone.append(clip)
        total_bytes -= clip.size_bytes
    return gone, total_bytes
