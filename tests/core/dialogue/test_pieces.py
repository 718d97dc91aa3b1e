"""Cutting text into sentences while it is written."""

from __future__ import annotations

import random

import pytest

from jackfield.dialogue.pieces import Pieces

TEXTS = {
    "plain": ("en", "Hello there. How are you? Fine!", ["Hello there.", "How are you?", "Fine!"]),
    "abbreviations": (
        "en",
        "Dr. Smith met Mr. Jones at 5 p.m. yesterday. They left.",
        ["Dr. Smith met Mr. Jones at 5 p.m. yesterday.", "They left."],
    ),
    "decimals": ("en", "It costs 3.50 euros. Pi is 3.14159.", ["It costs 3.50 euros.", "Pi is 3.14159."]),
    "address": (
        "en",
        "See https://example.org/a.b?c=d.e for more. Then ask.",
        ["See https://example.org/a.b?c=d.e for more.", "Then ask."],
    ),
    "emoji": ("en", "Well done! 👍🏽 Next one. Bye.", None),
    "ellipsis": ("en", "Well... I do not know. Perhaps.", None),
    "quotes": ("en", 'He said "Stop!" and left. She stayed.', None),
    "chinese": ("zh", "你好。今天天气很好！你呢？", ["你好。", "今天天气很好！", "你呢？"]),
    "japanese": ("ja", "こんにちは。元気ですか？はい。", ["こんにちは。", "元気ですか？", "はい。"]),
    "german": ("de", "Das ist z.B. gut. Und jetzt?", ["Das ist z.B. gut.", "Und jetzt?"]),
    "hindi": ("hi", "नमस्ते। आप कैसे हैं?", ["नमस्ते।", "आप कैसे हैं?"]),
    "arabic": ("ar", "مرحبا. كيف حالك؟ بخير.", ["مرحبا.", "كيف حالك؟", "بخير."]),
    "regional tag": ("en-GB", "One. Two.", ["One.", "Two."]),
    "unknown language": ("xx", "One here. Two there.", ["One here.", "Two there."]),
    "no language": (None, "One here. Two there.", ["One here.", "Two there."]),
    "lines": ("en", "First line\nsecond line\n\nThird.", None),
    "nothing to say": ("en", "... !!! 👍 --", []),
    "empty": ("en", "", []),
}


def pieces(language: str | None, parts: list[str]) -> list[str]:
    cutter = Pieces(language)
    found = [piece for part in parts for piece in cutter.add(part)]
    return found + cutter.end()


@pytest.mark.parametrize("name", TEXTS)
def test_text_is_cut_into_sentences(name: str) -> None:
    language, text, wanted = TEXTS[name]

    found = pieces(language, [text])

    if wanted is not None:
        assert found == wanted


@pytest.mark.parametrize("name", TEXTS)
def test_how_the_text_arrives_makes_no_difference(name: str) -> None:
    language, text, _ = TEXTS[name]
    whole = pieces(language, [text])
    chance = random.Random(name)

    assert pieces(language, list(text)) == whole
    for _ in range(50):
        cuts = sorted(chance.sample(range(len(text) + 1), k=min(len(text), 4)))
        parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        assert pieces(language, parts) == whole


@pytest.mark.parametrize("name", TEXTS)
def test_nothing_that_can_be_spoken_is_lost(name: str) -> None:
    language, text, _ = TEXTS[name]
    spoken = [character for character in text if character.isalnum()]

    for parts in ([text], list(text)):
        assert [c for piece in pieces(language, parts) for c in piece if c.isalnum()] == spoken


def test_a_sentence_is_given_as_soon_as_the_next_begins() -> None:
    cutter = Pieces("en")

    assert cutter.add("The capital is Rome.") == []
    assert cutter.add(" It") == ["The capital is Rome."]


@pytest.mark.parametrize("text", ["word " * 300, "x" * 1500, "你好" * 700])
def test_a_text_without_an_end_is_cut_all_the_same(text: str) -> None:
    found = pieces("en", [text[start : start + 7] for start in range(0, len(text), 7)])

    assert len(found) > 2
    assert max(map(len, found)) <= 400
    assert "".join(found).replace(" ", "") == text.replace(" ", "")


def test_a_long_text_that_comes_at_once_is_cut_into_pieces_that_can_be_spoken_soon() -> None:
    found = pieces("en", ["word " * 300 + "end. Next. " + "word " * 300])

    assert max(map(len, found)) <= 400
