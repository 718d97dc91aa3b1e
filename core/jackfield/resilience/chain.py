"""Chains: several providers of a kind in order, each asked where those before it failed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Generic, TypeVar

from jackfield.contracts.failover import Failover
from jackfield.errors import ProviderError, ProviderTimedOut
from jackfield.resilience.circuit import Circuit
from jackfield.resilience.reporting import Place, Reporter

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Member(Generic[T_co]):
    """A provider of a chain. One that stands in several chains is the same member of each."""

    place: Place
    object: T_co
    circuit: Circuit


class Chain(Generic[T]):
    """The members of a chain, and whose turn it is. `after_s` holds for requests that say nothing else."""

    def __init__(self, members: Sequence[Member[T]], reporter: Reporter, after_s: float) -> None:
        self.members = tuple(members)
        self.reporter = reporter
        self._plan = Failover(after_s)

    def attempts(
        self, plan: Failover | None, *, first_only: bool = False, holding: Member[T] | None = None
    ) -> Iterator[Attempt[T]]:
        """Give the members that a request is to ask, one after the other, as attempts that have begun.

        Those that cool down are left out, but when all do: then they come in the order of their turns. With
        `holding` the request is at that member already.
        """
        waiting = [member for member in self.members if member.circuit.ready]
        desperate = not waiting
        if desperate:
            waiting = sorted(self.members, key=lambda member: member.circuit.due_s)
        if first_only:
            waiting = [member for member in waiting if member is self.members[0]]
        if holding is not None:
            waiting = [holding, *(member for member in waiting if member is not holding)]
        while waiting:
            member = waiting.pop(0)
            if desperate or member.circuit.ready or not waiting:
                yield Attempt(self, member, waiting, plan or self._plan, desperate=desperate)

    def prefers_another(self, member: Member[T]) -> bool:
        """Whether a member that stands before this one is ready."""
        before = self.members[: self.members.index(member)]
        return any(other.circuit.ready for other in before)


class Attempt(Generic[T]):
    """A request at one member. Whoever has it tells how it went, and calls `over` in any case."""

    __slots__ = ("_began_s", "_chain", "_decided", "_desperate", "_plan", "_trial", "_waiting", "member")

    def __init__(
        self,
        chain: Chain[T],
        member: Member[T],
        waiting: Sequence[Member[T]],
        plan: Failover,
        *,
        desperate: bool = False,
    ) -> None:
        self.member = member
        self._desperate = desperate
        self._chain = chain
        self._waiting = waiting
        self._plan = plan
        self._trial = member.circuit.begin()
        self._decided = False
        self._began_s = asyncio.get_running_loop().time()
        plan.asked(*member.place)

    @property
    def last(self) -> bool:
        """Whether no other member will be asked."""
        return not self._waiting

    @property
    def leaves_late(self) -> bool:
        """Whether it is left when it is late: one that is slow is better than one that failed."""
        others = self._desperate or any(other.circuit.closed for other in self._waiting)
        return bool(self._waiting) and others

    @property
    def limit_s(self) -> float:
        """Seconds of waiting after which it is left."""
        return self._plan.after_s if self.leaves_late else inf

    @property
    def patience_s(self) -> float:
        """Seconds without output that are held against the member."""
        return self._plan.after_s

    def succeeded(self) -> None:
        """It did its work, though perhaps after it was blamed for being slow."""
        self._decided = True
        self.member.circuit.succeeded()

    def failed(self, error: Exception, *, useful: bool) -> bool:
        """It failed, after useful output or before; says whether the next member is to be asked.

        A request that is not acceptable is the user's business: it says nothing against the member.
        """
        if not fails_over(error):
            self.succeeded()
            return False
        self.blamed(error)
        if useful or not self._waiting:
            return False
        self._chain.reporter.took_over(self.member.place, self._waiting[0].place, error)
        self._plan.left()
        return True

    def blamed(self, error: Exception) -> None:
        """Hold a failure against it, whatever becomes of the request."""
        if not self._decided:
            self._decided = True
            self._chain.reporter.failed(self.member.place, error)
            self._plan.failed(*self.member.place, type(error).__name__)
            self.member.circuit.failed(error, trial=self._trial)

    def over(self, *, useful: bool) -> None:
        """The request ended, perhaps before its end. Does nothing where the outcome was told before."""
        if self._decided:
            return
        if useful:
            self.succeeded()
        elif asyncio.get_running_loop().time() - self._began_s >= self._plan.after_s:
            self.blamed(ProviderTimedOut("no output in time"))
        else:
            self.undecided()

    def undecided(self) -> None:
        """Nothing can be told of the member, unless it was told before."""
        if not self._decided:
            self._decided = True
            self.member.circuit.undecided(trial=self._trial)


def fails_over(error: Exception) -> bool:
    """Whether another provider may succeed; what is no provider's error is a fault of the plugin."""
    return not isinstance(error, ProviderError) or error.fails_over
