"""The server's end: events are noted, and handed to the process that makes spans of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import anyio
from anyio.lowlevel import checkpoint

from jackfield import ProviderError, Site
from jackfield.contracts.extension import Event
from jackfield.errors import PluginCannotStart, Problem
from jackfield.processes import CannotStart, Fields, WorkerProcesses
from jackfield_extension_opentelemetry.events import packed

_PROGRAM: Final = Path(__file__).with_name("program.py")
_BATCH: Final = 64
"""Events that are packed in one go; then others have their turn."""
_MOST_QUESTIONS: Final = 60
_HAND_OVER_S: Final = 30.0
"""A process that takes longer for a batch hangs."""


class TraceObserver:
    """Implements `BatchObserver`. An async context manager: entering starts the process."""

    def __init__(
        self, environment: Mapping[str, str], *, interval_s: float, flush_s: float, site: Site
    ) -> None:
        self.every_s = interval_s
        self._flush_s = flush_s
        self._site = site
        self._processes = WorkerProcesses(_PROGRAM, 1, {"environment": dict(environment)})
        self._failing = False
        self._questions = 0
        """How often it is still asked how what was handed over went."""

    @property
    def uncertain(self) -> bool:
        """Whether it is not known yet how what was handed over went."""
        return self._questions > 0

    async def __aenter__(self) -> Self:
        """:raises PluginCannotStart: when the SDK cannot be used as it is set."""
        try:
            await self._processes.__aenter__()
        except CannotStart as error:
            raise PluginCannotStart(Problem(self._site.section, error.message, error.fix)) from error
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        with anyio.move_on_after(self._flush_s, shield=True):
            await self._hand_over({"flush": True}, b"", within_s=self._flush_s)
        await self._processes.__aexit__(exc_type, exc, tb)

    async def observe(self, event: Event) -> None:
        """Take one event."""
        await self.observe_all([event])

    async def observe_all(self, events: Sequence[Event]) -> None:
        """Hand events over to the process; with none, see how those before went."""
        body = b""
        with anyio.CancelScope(shield=True):  # what is not handed over when the server stops would be lost
            for start in range(0, len(events), _BATCH):
                body += packed(events[start : start + _BATCH])
                await checkpoint()
        await self._hand_over({}, body, within_s=_HAND_OVER_S)

    async def _hand_over(self, request: Fields, body: bytes, *, within_s: float) -> None:
        """Give the process what has happened, and say once that something is wrong, or right again."""
        if body:
            self._questions = _MOST_QUESTIONS
        elif not (request or self.uncertain):
            return
        self._questions -= 1
        try:
            answer, _ = await self._processes.ask(request, body, within_s=within_s)
        except ProviderError as error:
            self._tell(str(error))
            return
        if answer["failed"]:
            self._tell(f"the collector at {answer['endpoint']} does not take them")
        elif answer["sent"]:
            self._tell("")
        if answer["failed"] or answer["sent"]:
            self._questions = 0

    def _tell(self, trouble: str) -> None:
        """Log a trouble when it begins, and when it is over."""
        if trouble and not self._failing:
            self._site.logger.warning("[%s] traces are lost: %s", self._site.section, trouble)
        elif self._failing and not trouble:
            self._site.logger.info("[%s] traces are taken again", self._site.section)
        self._failing = bool(trouble)
