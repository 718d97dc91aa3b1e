"""What a chain can do: what all of its members can, whichever of them answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from jackfield.plugin import Capabilities, Kind


def of_chain(kind: Kind, members: Sequence[Capabilities]) -> Capabilities:
    """Give the capabilities of a chain, the first member's first.

    What only makes an answer come sooner is the first member's alone: it answers nearly always.
    """
    first = members[0]
    return replace(
        first,
        # A voice that takes text in pieces may have others behind it that are given each piece by itself.
        streaming=first.streaming if kind == "tts" else all(member.streaming for member in members),
        languages=_common(member.languages for member in members),
        models=tuple(dict.fromkeys(model for member in members for model in member.models)),
        context_tokens=_least(member.context_tokens for member in members),
        network=any(member.network for member in members),
        cancel_s=max(member.cancel_s for member in members),
    )


def _common(languages: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Languages that all know of; a member that names none is not limited."""
    first, *rest = [known for known in languages if known] or [()]
    return tuple(language for language in first if all(language in each for each in rest))


def _least(values: Iterable[int | None]) -> int | None:
    """The least of those that are known."""
    return min((value for value in values if value is not None), default=None)
