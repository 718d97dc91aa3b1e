"""Pieces to text: whole characters, and nothing of a stop text."""

from __future__ import annotations

import pytest

from jackfield_llm_llama_cpp.answer_text import AnswerText


def read(pieces: list[bytes], stops: tuple[str, ...] = ()) -> tuple[list[str], bool]:
    """Feed all pieces, ending where the text stops."""
    text = AnswerText(stops)
    out = []
    for piece in pieces:
        out.append(text.feed(piece))
        if text.stopped:
            break
    return [*out, text.finish()], text.stopped


def test_a_character_split_over_pieces_comes_out_whole() -> None:
    face = "🙂".encode()
    assert read([b"a", face[:1], face[1:3], face[3:] + b"b"]) == (["a", "", "", "🙂b", ""], False)


def test_a_character_that_is_never_completed_becomes_a_replacement() -> None:
    assert read([b"a", "é".encode()[:1]])[0] == ["a", "", "�"]


def test_text_that_may_begin_a_stop_is_held_until_it_is_none() -> None:
    assert read([b"one E", b"N", b"D", b" two"], ("ENDE",)) == (["one ", "", "", "END two", ""], False)


def test_a_stop_text_over_several_pieces_ends_the_answer_without_it() -> None:
    assert read([b"one E", b"N", b"D two"], ("END",)) == (["one ", "", "", ""], True)


def test_the_earliest_of_several_stops_counts() -> None:
    assert read([b"one two three"], ("three", "two")) == (["one ", ""], True)


def test_held_text_comes_out_when_the_answer_ends() -> None:
    assert read([b"one <"], ("<end>",)) == (["one ", "<"], False)


@pytest.mark.parametrize("stops", [(), ("",)])
def test_without_a_stop_text_nothing_is_held(stops: tuple[str, ...]) -> None:
    assert read([b"one", b" two"], stops) == (["one", " two", ""], False)
