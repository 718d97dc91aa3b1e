"""What counts as a secret, and what only stands in its place."""

from __future__ import annotations

import pytest

from jackfield.secrecy import is_placeholder, weakness


@pytest.mark.parametrize(
    "text",
    [
        "your_secure_token_here",
        "YOUR_SECRET_KEY",
        "<your-token>",
        "your-secret-key-goes-here",
        "changeme",
        "change-me-please",
        "password1234",
        "example_token",
        "secret-key",
        "todo",
        "xxxxxxxxxxxxxxxx",
        "aaaaaaaaaaaaaaaaaaaaaaaa",
        "",
    ],
)
def test_words_that_ask_for_a_secret_are_none(text: str) -> None:
    assert is_placeholder(text)


@pytest.mark.parametrize(
    "text",
    [
        "passwordZ8kQ2vX7nR4t",
        "xxxLm3Tq9Rw2Zk7Vb1Nc",
        "Yk3p_0dL9vQ2xW7zTt",
        "todo81723645019283746",
        "3f786850e387550fdab836ed7e6dc881",
    ],
)
def test_a_random_secret_is_one_however_it_begins(text: str) -> None:
    assert not is_placeholder(text)
    assert weakness(text) is None


def test_it_is_said_what_makes_a_secret_weak() -> None:
    assert weakness("aB3dE5") == "has fewer than 16 characters"
    assert weakness("your_secure_token_here") == "looks like a placeholder"
