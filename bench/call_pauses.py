"""How long the garbage collector stopped a process, and how much memory the process has."""

from __future__ import annotations

import gc
import time
from typing import Final

import psutil

MIB: Final = 1024 * 1024
_OLDEST: Final = 2


class Pauses:
    """Times every collection from now on, by the processor time that it takes. One a process."""

    def __init__(self) -> None:
        self._began_s = 0.0
        self._young_s: list[float] = []
        self._full_s: list[float] = []
        gc.callbacks.append(self._note)

    def _note(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._began_s = time.thread_time()
            return
        pauses = self._full_s if info["generation"] == _OLDEST else self._young_s
        pauses.append(time.thread_time() - self._began_s)

    def told(self) -> dict[str, float]:
        """Pauses since this was asked last, in milliseconds, and memory now, in MiB."""
        young, self._young_s = self._young_s, []
        full, self._full_s = self._full_s, []
        return {
            "collections": len(young) + len(full),
            "full collections": len(full),
            "longest pause ms": round(max([*young, *full], default=0.0) * 1000, 2),
            "all pauses ms": round(sum([*young, *full]) * 1000, 1),
            "memory MiB": round(psutil.Process().memory_info().rss / MIB, 2),
        }
