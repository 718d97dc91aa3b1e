"""Words of what was said."""

from __future__ import annotations

import pytest

from jackfield.dialogue.call.words import count_words, joined, same_words


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("...", 0),
        ("Stop!", 1),
        ("don't stop it", 3),
        ("it’s 5 o’clock", 3),
        ("zażółć gęślą", 2),
        ("停下来", 3),
        ("ストップ", 4),
        ("OK 停", 2),
        ("रुको अभी", 2),
    ],
)
def test_words_are_counted_in_any_script(text: str, count: int) -> None:
    assert count_words(text) == count


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Hello there.", "hello  there", True),
        ("Straße", "STRASSE", True),
        ("you are late", "you are late?", False),
        ("hello", "hello there", False),
    ],
)
def test_transcripts_are_the_same_if_they_ask_for_the_same_answer(one: str, other: str, same: bool) -> None:
    assert same_words(one, other) is same


def test_what_was_said_in_several_goes_is_one_text() -> None:
    assert joined("what is", "", "the time") == "what is the time"
