"""What becomes of one request."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from fnmatch import fnmatchcase
from random import Random
from typing import Final, TypeVar

import anyio

from jackfield.errors import (
    ContentFiltered,
    ContextTooLong,
    ProviderBadReply,
    ProviderError,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimedOut,
    ProviderUnauthorized,
    ProviderUnavailable,
)
from jackfield_extension_chaos.options import ChaosOptions, Rule, Trouble

T = TypeVar("T")

_ERRORS: Final[Mapping[Trouble, type[ProviderError]]] = {
    "unavailable": ProviderUnavailable,
    "rate_limited": ProviderRateLimited,
    "unauthorized": ProviderUnauthorized,
    "timed_out": ProviderTimedOut,
    "bad_reply": ProviderBadReply,
    "refused": ProviderRefused,
    "context_too_long": ContextTooLong,
    "content_filtered": ContentFiltered,
}
_REASON: Final = "chaos: it was configured to fail"


class Crash(Exception):
    """What a plugin with a fault in it might raise."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What is to happen to one request."""

    rule: Rule

    async def strike(self) -> bool:
        """Let it happen; says whether garbage is to be given now.

        :raises ProviderError: for most kinds of trouble.
        :raises Crash: for that one.
        """
        rule = self.rule
        if rule.delay_s:
            await anyio.sleep(rule.delay_s)
        if rule.do == "stall":
            await anyio.sleep_forever()
        if rule.do == "crash":
            raise Crash(_REASON)
        if rule.do in _ERRORS:
            raise _ERRORS[rule.do](_REASON, retry_after_s=rule.retry_after_s)
        return rule.do == "garbage"


class Dice:
    """The dice of one section."""

    def __init__(self, options: ChaosOptions, section: str) -> None:
        self._rules = [rule for rule in options.rules if fnmatchcase(section, rule.section)]
        self._left = [rule.times for rule in self._rules]
        self._random = Random(None if options.seed is None else f"{options.seed} {section}")  # noqa: S311

    def __bool__(self) -> bool:
        """Whether anything can happen at all."""
        return bool(self._rules)

    def roll(self, *, connecting: bool = False) -> Fate | None:
        """Decide about a request."""
        for number, rule in enumerate(self._rules):
            if rule.connecting != connecting or self._left[number] == 0:
                continue
            if self._random.random() < rule.probability:
                left = self._left[number]
                self._left[number] = None if left is None else left - 1
                return Fate(rule)
        return None

    async def disturb(
        self, start: Callable[[], AsyncGenerator[T, None]], garbage: T
    ) -> AsyncGenerator[T, None]:
        """Yield what `start()` yields, unless something happens."""
        fate = self.roll()
        if fate is not None and fate.rule.after_outputs == 0:
            if await fate.strike():
                yield garbage
            fate = None
        count = 0
        async with aclosing(start()) as outputs:
            async for output in outputs:
                yield output
                count += 1
                if fate is not None and count == fate.rule.after_outputs and await fate.strike():
                    yield garbage
