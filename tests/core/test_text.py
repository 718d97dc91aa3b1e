"""Normalising of text from clients."""

from __future__ import annotations

import time
import unicodedata

import pytest

from jackfield.text import normalise, printable


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        ("plain", "plain"),
        ("  around \n", "around"),
        ("one\r\ntwo", "one\ntwo"),
        ("a\tb\nc", "a\tb\nc"),
        ("nul\x00bell\x07esc\x1b[31m", "nulbellesc[31m"),
        ("a\rb\x85c\x7fd", "abcd"),
        ("e\u0301", "\u00e9"),
        ("half \ud83d of a pair", "half  of a pair"),
        ("<b>&amp;</b>", "<b>&amp;</b>"),
        (" \x00\u00a0\t", ""),
    ],
)
def test_text_is_brought_into_one_spelling(raw: str, wanted: str) -> None:
    assert normalise(raw) == wanted


def test_normalising_again_changes_nothing() -> None:
    once = normalise("\r\x00\r\n Z\u0335\u0301a\u0301\u0316 \u1f82 \u0344 \u2000x\u2000")

    assert normalise(once) == once
    assert unicodedata.is_normalized("NFC", once)


def test_thousands_of_marks_on_one_letter_are_quick() -> None:
    marks = "a" + "\u0301\u0316" * 8_000

    started = time.perf_counter()
    text = normalise(marks + " and \u00e9\u0301")

    assert time.perf_counter() - started < 0.1  # putting all of them in order takes about 0.25 s
    assert text.endswith(" and \u00e9\u0301")
    assert len(text) < 50


def test_a_long_text_keeps_the_marks_that_languages_use() -> None:
    text = "\u1ed7\u0325 na\u0308chste \u05d1\u05bc\u05b0 " * 300

    assert normalise(text) == unicodedata.normalize("NFC", text.strip())


def test_what_is_printable_keeps_its_blanks_and_its_composition() -> None:
    assert printable(" e\u0301\r\n\ta\x00\x1b\ud800 ") == " e\u0301\n\ta "
