"""The comparison of what a cluster acknowledged with what it has notices whatever is wrong."""

from __future__ import annotations

import pytest

from soak.journal import PREFIX, Journal


def conversation(*texts: str) -> list[dict[str, str]]:
    """Questions by their names, each with its answer; one with a `?` has none."""
    messages: list[dict[str, str]] = []
    for text in texts:
        name = text.removesuffix("?")
        messages.append({"role": "user", "content": name})
        if name == text:
            messages.append({"role": "assistant", "content": PREFIX + name})
    return messages


@pytest.mark.parametrize(
    ("messages", "wrong"),
    [
        (conversation("c 0", "c 1", "c 2?"), []),
        (conversation("c 0", "c 2?"), ["c 1: was acknowledged and is lost"]),
        (conversation("c 0", "c 0", "c 1", "c 2"), ["c 0: is there and was not to be, or is there twice"]),
        (conversation("c 1", "c 0", "c 2"), ["c 0: the messages are not in their order"]),
        (conversation("c 0", "c 1?", "c 2"), ["c 1: its answer was acknowledged and is lost"]),
    ],
    ids=["equal", "lost", "twice", "disordered", "unanswered"],
)
def test_what_is_wrong_is_told(messages: list[dict[str, str]], wrong: list[str]) -> None:
    found = Journal(asked=["c 0", "c 1", "c 2"], answered=["c 0", "c 1"]).differences(messages)
    assert found[: len(wrong)] == wrong
    assert bool(found) == bool(wrong)


def test_the_longest_wait_counts_from_a_moment_on() -> None:
    journal = Journal(waits=[(0.0, 9.0), (10.0, 11.0), (12.0, 15.0)])
    assert (journal.longest_wait_s(), journal.longest_wait_s(9.5)) == (9.0, 3.0)
    assert (journal.served_since(11.0), journal.served_since(12.5)) == (True, False)
