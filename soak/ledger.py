"""What a store acknowledged, and how it compares with what the store has in the end."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field


@dataclass
class Ledger:
    """Names of pairs of messages by the place they were written to, each place in the order of writing."""

    pairs: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    acknowledged: int = 0
    """Messages."""
    errors: int = 0
    """Operations that failed, and said so."""
    found: int = 0
    """Messages that were stored although the store could not say so any more; their writer looked."""
    repeated: int = 0
    """Messages that were not stored, and were written again."""

    def note(self, place: str, pair: str) -> None:
        """Count a pair that is stored for certain."""
        self.pairs[place].append(pair)
        self.acknowledged += 2


@dataclass
class Comparison:
    """Messages that a store has, and what is wrong with them."""

    stored: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, place: str, messages: list[str], expected: list[str]) -> None:
        """Compare one place: every pair once, question before answer, each writer's in its order."""
        self.stored += len(messages)
        if messages[1::2] != [f"{question} answer" for question in messages[::2]]:
            self.wrong.append(f"{place}: a pair is torn")
        found = [question.removesuffix(" question") for question in messages[::2]]
        found = [name for name in found if not name.endswith(" answer")]
        lost, extra = Counter(expected) - Counter(found), Counter(found) - Counter(expected)
        self.wrong += [f"{place}: {pair} was acknowledged and is lost" for pair in lost.elements()]
        self.wrong += [f"{place}: {pair} is there and was not to be, or is there twice" for pair in extra]
        if not lost and not extra and _by_writer(found) != _by_writer(expected):
            self.wrong.append(f"{place}: a writer's pairs are not in their order")


def _by_writer(pairs: list[str]) -> dict[str, list[str]]:
    by_writer: defaultdict[str, list[str]] = defaultdict(list)
    for pair in pairs:
        by_writer[pair.partition(" ")[0]].append(pair)
    return by_writer
