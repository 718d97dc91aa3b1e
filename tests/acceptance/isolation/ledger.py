"""What every user was told is stored, and what a history must then hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

MARK: Final = re.compile(r"mark-(\d+)-")
"""Stands in every text that a user makes up, and tells whose it is."""

Told = tuple[str, str]
"""Role and text of a message as a door shows it."""


def numbers(text: str) -> list[int]:
    """The marks in a text."""
    return [int(number) for number in MARK.findall(text)]


@dataclass(eq=False)
class Exchange:
    """A message and its answer. Times are steps of one clock."""

    number: int
    text: str
    began: int
    ended: int | None = None
    """When the answer was acknowledged; None when it never was."""
    asked: bool = False
    """Whether the message was acknowledged."""
    answer: str | None = None


@dataclass(eq=False)
class Talk:
    """A lasting conversation. `id` is None until a list has shown it, `title` until it is known."""

    id: str | None = None
    title: str | None = None
    place: tuple[str, str] | None = None
    """Mount and session of one that relay-chat keeps."""
    exchanges: list[Exchange] = field(default_factory=list)
    frozen: bool = False
    """Whether a dead server still has the turn."""

    def check(self, found: Sequence[Told]) -> None:
        """Compare with what a door shows: all that was acknowledged, once and in order, and nothing else."""
        by_text = {each.text: each for each in self.exchanges}
        by_number = {each.number: each for each in self.exchanges}
        asked: dict[Exchange, int] = {}
        answered: dict[Exchange, int] = {}
        for at, (role, text) in enumerate(found):
            if role == "user":
                assert text in by_text, f"a message that nobody sent here: {text!r}"
                _once(asked, by_text[text], at, "a message")
                continue
            each = by_number.get(numbers(text)[0]) if numbers(text) else None
            assert each is not None, f"an answer to nothing that was said here: {text!r}"
            assert each.answer in (None, text), f"another answer than was given: {text!r}"
            assert each in asked, f"an answer without its message: {text!r}"
            _once(answered, each, at, "an answer")
        for each in self.exchanges:
            assert each in asked or not each.asked, f"an acknowledged message is lost: {each.text}"
            assert each in answered or each.answer is None, f"an acknowledged answer is lost: {each.text}"
        for shown in (asked, answered):
            _in_order(sorted(shown, key=lambda each: shown[each]))

    def recent(self) -> list[int]:
        """The newest messages that were answered, which a model must be told of."""
        return _recent(self.exchanges)


@dataclass(eq=False)
class Memory:
    """The expiring conversation that a door has with a user in a session: all that was sent to it."""

    exchanges: list[Exchange] = field(default_factory=list)

    def recent(self) -> list[int]:
        """The newest messages that were answered, which a model must be told of."""
        return _recent(self.exchanges)


def check_answer(exchange: Exchange, answer: str, known: Iterable[Exchange], recent: Sequence[int]) -> None:
    """Check what the model was told before: the newest in order, none twice, and nothing of elsewhere."""
    heard, _, rest = answer.partition("\nBefore: ")
    assert heard.startswith(f"Heard: {exchange.text}"), f"{exchange.text!r} was answered {answer!r}"
    before = numbers(rest.partition("\nTold: ")[0])
    by_number = {each.number: each for each in known}
    strangers = set(before) - by_number.keys()
    assert not strangers, f"the model was told {strangers}, which was not said here: {answer!r}"
    assert len(before) == len(set(before)), f"the model was told something twice: {answer!r}"
    assert set(recent) <= set(before), f"the model was not told all of {recent}: {answer!r}"
    _in_order([by_number[number] for number in before])


def _once(shown: dict[Exchange, int], each: Exchange, at: int, what: str) -> None:
    assert each not in shown, f"{what} is there twice: {each.text}"
    shown[each] = at


def _in_order(shown: Sequence[Exchange]) -> None:
    for at, each in enumerate(shown):
        for earlier in shown[:at]:
            late = each.ended is not None and each.ended < earlier.began
            assert not late, f"{each.text!r} comes after {earlier.text!r}, which was sent later"


def _recent(exchanges: Sequence[Exchange]) -> list[int]:
    ended = sorted((each.ended, each.number) for each in exchanges if each.ended is not None)
    return [number for _, number in ended[-3:]]
