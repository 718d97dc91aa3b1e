"""What providers and tools do in a turn, and when: noted as it happens, told when the turn ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import attrgetter
from types import TracebackType
from typing import Any, Final

from jackfield.assembly import Built
from jackfield.contracts.extension import Step, StepKind, Trouble
from jackfield.contracts.llm import Usage

_BEGAN: Final = attrgetter("began_s")
_PROVIDERS: Final = ("stt", "llm", "tts")
MOST_STEPS: Final = 128
"""Further steps of a turn are not told of; so are further troubles of a step."""


class Work:
    """A step that has begun. A context manager: leaving it ends the step. Times are of the turn's clock."""

    first_s: float | None = None
    ended_s: float | None = None
    outcome = "cancelled"
    error = ""
    model = ""
    reason = ""
    usage: Usage | None = None
    _troubles: Sequence[Trouble] = ()

    def __init__(
        self, kind: StepKind, built: Built[Any] | None, clock: Callable[[], float], name: str
    ) -> None:
        self.kind = kind
        self.began_s = clock()
        self._built = built
        self._clock = clock
        self._section = built.section if built else ""
        self._provider = built.plugin if built else name

    @property
    def place(self) -> tuple[str, str]:
        """Section and plugin of the provider that was asked last."""
        return self._section, self._provider

    def reached_first(self) -> None:
        """The first useful output has come."""
        if self.first_s is None:
            self.first_s = self._clock()

    def asked(self, section: str, provider: str) -> None:
        """A provider of a chain is asked, perhaps after another one has failed."""
        self._section, self._provider = section, provider
        if self._troubles and not self._troubles[-1].taken_over_by:
            *before, last = self._troubles
            self._troubles = (*before, replace(last, taken_over_by=section))

    def failed(self, section: str, provider: str, error: str) -> None:
        """A provider of a chain has failed."""
        if len(self._troubles) < MOST_STEPS:
            self._troubles = (*self._troubles, Trouble(self._clock(), section, provider, error))

    def end(self, error: type[BaseException] | None = None) -> None:
        """Note the end, once."""
        if self.ended_s is not None:
            return
        self.ended_s = self._clock()
        if error is None:
            self.outcome = "ok"
        elif not issubclass(error, asyncio.CancelledError | GeneratorExit):
            self.outcome, self.error = "failed", error.__name__

    def __enter__(self) -> Work:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end(kind)

    def told(self, zero_s: float, now_s: float) -> Step:
        """The step, its times counted from `zero_s`; one that still runs is cut off now."""
        ended_s = now_s if self.ended_s is None else self.ended_s
        return Step(
            self.kind,
            self._section,
            self._provider,
            began_s=self.began_s - zero_s,
            ended_s=ended_s - zero_s,
            first_s=None if self.first_s is None else self.first_s - zero_s,
            outcome=self.outcome,
            error=self.error,
            requested_model=self._requested_model(),
            model=self.model,
            reason=self.reason,
            usage=self.usage,
            troubles=tuple([replace(each, at_s=each.at_s - zero_s) for each in self._troubles]),
        )

    def _requested_model(self) -> str:
        if self._built is None:
            return ""
        built = self._built
        for member in built.members:
            if member.section == self._section:
                built = member
        models = built.capabilities.models
        return models[0] if len(models) == 1 else ""


class Steps:
    """All steps of one turn."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._works: list[Work] = []

    def begin(self, kind: StepKind, built: Built[Any] | None = None, *, name: str = "") -> Work:
        """Begin a step of a provider, or of the tool `name`."""
        work = Work(kind, built, self._clock, name)
        self.add(work)
        return work

    def add(self, work: Work) -> None:
        """Add a step that was noted elsewhere, by the same clock."""
        if len(self._works) < MOST_STEPS:
            self._works.append(work)

    def providers(self, answered_by: str = "") -> dict[str, str]:
        """Kind to plugin of whoever was last of use in it; `answered_by` where no model was asked."""
        found = {"llm": answered_by} if answered_by else {}
        for work in self._works:
            if work.first_s is not None or work.outcome == "ok":
                found[work.kind] = work.place[1]
        return {kind: found[kind] for kind in _PROVIDERS if kind in found}

    def told(self, zero_s: float) -> tuple[Step, ...]:
        """Every step in the order in which they began, its times counted from `zero_s`."""
        now_s = self._clock()
        self._works.sort(key=_BEGAN)
        return tuple([work.told(zero_s, now_s) for work in self._works])
