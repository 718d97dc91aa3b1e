"""Moves of a state machine that tell what was done before one of them failed."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final, TypeVar, cast

from hypothesis.stateful import RuleBasedStateMachine, rule
from hypothesis.strategies import SearchStrategy

_rule: Final = cast("Callable[..., Callable[[Callable[..., None]], object]]", rule)  # it is annotated in part
Act = TypeVar("Act", bound=Callable[..., None])


class ToldMachine(RuleBasedStateMachine):
    """A machine that keeps its first failure, with the moves that led to it.

    What is stored outlives a run, so that the same moves need not fail again, and hypothesis would say no
    more than that.
    """

    failure: ClassVar[str | None] = None

    def __init__(self) -> None:
        super().__init__()
        assert ToldMachine.failure is None, "it has failed already"
        self.moves: Final[list[str]] = []

    @contextmanager
    def told(self) -> Iterator[None]:
        """Keep what goes wrong inside, if it is the first failure."""
        try:
            yield
        except Exception:
            if ToldMachine.failure is None:
                ToldMachine.failure = "\n".join((traceback.format_exc(), "after these moves:", *self.moves))
            raise


def move(**drawn: SearchStrategy[Any]) -> Callable[[Act], Act]:
    """A rule, of a machine that keeps its failures."""

    def told(act: Act) -> Act:
        @functools.wraps(act)
        def done(self: ToldMachine, **drawn: object) -> None:
            self.moves.append(f"{act.__name__}({', '.join(f'{n}={_short(v)}' for n, v in drawn.items())})")
            with self.told():
                act(self, **drawn)

        return cast("Act", _rule(**drawn)(done))  # it is still called as it was

    return told


def _short(value: object) -> str:
    return getattr(value, "__name__", repr(value))
