"""Which sequence holds what, and which of it a new prompt can use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol


class Memory(Protocol):
    """The key-value cache, as far as it is bookkept here."""

    divisible: bool
    """Whether a sequence can be cut back to, or share, any beginning of it."""

    def trim(self, sequence: int, length: int) -> bool:
        """Forget all but the first `length` tokens of a sequence; False when all had to be forgotten."""
        ...

    def share(self, source: int, target: int, length: int) -> None:
        """Let `target`, which is empty, begin with the first `length` tokens of `source`."""
        ...


@dataclass(eq=False, slots=True)
class Slot:
    """One sequence of the cache. `tokens` are exactly those the cache holds for it."""

    sequence: int
    tokens: list[int] = field(default_factory=list)
    conversation: str | None = None
    busy: bool = False
    used_at: int = 0


class SlotTable:
    """All sequences: at most `running` busy at once, the others keep what idle conversations have read."""

    def __init__(self, memory: Memory, running: int, kept: int) -> None:
        self._memory = memory
        self._running = running
        self._slots = [Slot(sequence) for sequence in range(running + kept)]
        self._clock = count(1)

    @property
    def busy(self) -> int:
        """How many are in use."""
        return sum(slot.busy for slot in self._slots)

    @property
    def slots(self) -> tuple[Slot, ...]:
        """All of them, for looking at."""
        return tuple(self._slots)

    def acquire(self, prompt: Sequence[int], conversation: str | None) -> Slot | None:
        """A slot that holds as much of `prompt` as any does, but never its last token; None if all are busy.

        It is the conversation's own, else an empty one, else the one idle for longest.
        """
        if self.busy >= self._running:
            return None
        idle = [slot for slot in self._slots if not slot.busy]
        own = [slot for slot in idle if conversation is not None and slot.conversation == conversation]
        if own:
            slot = max(own, key=lambda each: common_length(each.tokens, prompt))
        else:
            slot = min(idle, key=lambda each: (bool(each.tokens), each.used_at))
        slot.busy, slot.conversation = True, conversation
        self.adopt(slot, prompt)
        return slot

    def adopt(self, slot: Slot, prompt: Sequence[int]) -> None:
        """Make `slot` hold the longest beginning of `prompt` that any slot holds, and nothing else."""
        most = len(prompt) - 1
        if not self._memory.divisible:
            whole = len(slot.tokens)
            if whole > most or slot.tokens != list(prompt[:whole]):
                self.trim(slot, 0)
            return
        lengths = {each.sequence: min(most, common_length(each.tokens, prompt)) for each in self._slots}
        source = max(self._slots, key=lambda each: (lengths[each.sequence], each is slot))
        length = lengths[source.sequence]
        if source is slot:
            self.trim(slot, length)
            return
        self.trim(slot, 0)
        self._memory.share(source.sequence, slot.sequence, length)
        slot.tokens = source.tokens[:length]

    def trim(self, slot: Slot, length: int) -> None:
        """Forget all but the first `length` tokens, or all when the cache cannot cut there."""
        kept = self._memory.trim(slot.sequence, length)
        slot.tokens = slot.tokens[:length] if kept else []

    def release(self, slot: Slot) -> None:
        """End the use of `slot`; what it holds is kept until it is needed for something else."""
        slot.busy = False
        slot.used_at = next(self._clock)

    def evict(self) -> bool:
        """Empty the slot that has been idle for longest; False when none is left to empty."""
        idle = [slot for slot in self._slots if slot.tokens and not slot.busy]
        if not idle:
            return False
        oldest = min(idle, key=lambda slot: slot.used_at)
        self.trim(oldest, 0)
        oldest.conversation = None
        return True


def common_length(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with."""
    shorter = min(len(one), len(other))
    # Comparing lists is done in C; only a real difference is looked for token by token.
    if one[:shorter] == other[:shorter]:
        return shorter
    return next(at for at in range(shorter) if one[at] != other[at])


def shares(wanted: Sequence[int], room: int) -> list[int]:
    """Divide the tokens of a step: to each an equal part, and what one does not want to the others."""
    given = [0] * len(wanted)
    for rank, at in enumerate(sorted(range(len(wanted)), key=lambda each: wanted[each])):
        given[at] = min(wanted[at], room // (len(wanted) - rank))
        room -= given[at]
    return given
