"""Which words were heard, from positions in the sound."""

from __future__ import annotations

import random

import pytest

from jackfield.contracts.tts import SpeechMark
from jackfield.dialogue.call.heard import Passage, heard_text

ONE = "One two three four. "
TWO = "Five six seven eight."


def marks(*words: tuple[str, float]) -> list[SpeechMark]:
    return [SpeechMark("word", value, at_s) for value, at_s in words]


def passages() -> list[Passage]:
    return [Passage(ONE, 0.0, 2.0, complete=True), Passage(TWO, 2.0, 2.0, complete=True)]


@pytest.mark.parametrize(
    ("heard_s", "wanted"),
    [
        (0.0, ""),
        (0.19, ""),
        (0.3, ""),  # half a word
        (0.5, "One"),
        (1.0, "One two"),
        (1.98, "One two three"),
        (2.0, "One two three four."),
        (2.1, "One two three four."),
        (3.0, "One two three four. Five six"),
        (4.0, "One two three four. Five six seven eight."),
        (9.0, "One two three four. Five six seven eight."),
    ],
)
def test_the_text_goes_as_far_as_the_sound(heard_s: float, wanted: str) -> None:
    assert heard_text(passages(), heard_s) == wanted


def test_nothing_was_heard_of_nothing() -> None:
    assert heard_text([], 3.0) == ""


def test_a_very_short_answer_counts_once_it_is_whole() -> None:
    answer = [Passage("Yes.", 0.0, 0.15, complete=True)]

    assert heard_text(answer, 0.1) == ""
    assert heard_text(answer, 0.15) == "Yes."


@pytest.mark.parametrize(
    ("heard_s", "wanted"),
    [(0.45, ""), (0.5, "Hello"), (2.9, "Hello"), (3.0, "Hello there"), (4.0, "Hello there friend")],
)
def test_marks_say_where_words_begin(heard_s: float, wanted: str) -> None:
    text = "Hello there friend"
    words = marks(("hello", 0.0), ("there", 0.5), ("friend", 3.0))

    assert heard_text([Passage(text, 0.0, 4.0, True, words)], heard_s) == wanted


def test_marks_of_words_that_the_voice_reads_otherwise_are_passed_over() -> None:
    words = marks(("it", 0.0), ("costs", 0.2), ("fifty", 0.5), ("euros", 1.5), ("now", 2.0))
    passage = Passage("It costs 50 euros now", 0.0, 2.5, True, words)

    assert heard_text([passage], 1.4) == "It costs"
    assert heard_text([passage], 1.5) == "It costs 50"
    assert heard_text([passage], 2.0) == "It costs 50 euros"


def test_the_same_word_twice_is_found_twice() -> None:
    words = marks(("no", 0.0), ("no", 1.0), ("no", 2.0))

    assert heard_text([Passage("No no no", 0.0, 3.0, True, words)], 2.5) == "No no"


def test_a_word_is_not_found_inside_another() -> None:
    words = marks(("that", 0.0), ("is", 0.5), ("a", 1.0), ("hat", 1.5))

    assert heard_text([Passage("That is a hat", 0.0, 2.0, True, words)], 1.5) == "That is a"


def test_marks_count_from_the_beginning_of_their_passage() -> None:
    words = marks(("five", 0.0), ("six", 1.5))
    both = [Passage(ONE, 0.0, 2.0, complete=True), Passage("Five six", 2.0, 2.0, True, words)]

    assert heard_text(both, 3.4) == ONE.strip()
    assert heard_text(both, 3.5) == ONE + "Five"


def test_scripts_without_spaces_count_characters() -> None:
    answer = [Passage("今天天气很好我们去公园", 0.0, 2.2, complete=True)]

    assert heard_text(answer, 1.0) == "今天天气很"


def test_a_character_keeps_its_marks() -> None:
    text = "กำลังที่นี่"

    for hundredths in range(20, 200):
        heard = heard_text([Passage(text, 0.0, 2.0, complete=True)], hundredths / 100)
        rest = text[len(heard) :]
        assert not rest.startswith(("\u0e31", "\u0e35", "\u0e48"))


def test_a_passage_that_is_still_made_is_judged_by_the_usual_pace() -> None:
    text = "one two three four five six seven eight nine ten"  # about three seconds

    assert heard_text([Passage(text, 0.0, 1.0)], 1.0) == "one two three"


def test_a_passage_that_is_still_made_is_judged_by_the_pace_of_this_voice() -> None:
    slow = Passage("x" * 9 + " ", 0.0, 2.0, complete=True)  # a fifth of a second a character
    more = Passage("one two three four", 2.0, 1.0)

    assert heard_text([slow, more], 3.0) == slow.text + "one"


def test_a_short_passage_and_the_space_after_it_do_not_make_a_voice_look_quick() -> None:
    short = Passage("9 9. ", 0.0, 4 * 0.06, complete=True)
    unfinished = Passage("9, 9, 9 9, 9 9. ", 0.24, 9 * 0.06)

    assert heard_text([short, unfinished], 13 * 0.06) == "9 9. 9, 9, 9"


def test_slow_speech_is_not_ahead_of_its_sound() -> None:
    assert heard_text([Passage("one two", 0.0, 5.0)], 2.0) == ""
    assert heard_text([Passage("one two", 0.0, 5.0)], 2.5) == "one"


def test_what_was_heard_grows_with_the_sound_and_is_always_a_beginning() -> None:
    chance = random.Random(7)
    words = ["one", "two,", "3.5", "你好", "天气。", "สวัสดี", "é\u0301", "👩‍👩‍👧", "नमस्ते", "Straße", "İst"]
    for _ in range(500):
        answer = _random_answer(chance, words)
        text = "".join(passage.text for passage in answer)
        end_s = answer[-1].start_s + answer[-1].duration_s
        before = ""
        for step in range(40):
            heard = heard_text(answer, step / 38 * end_s)
            assert text.lstrip().startswith(heard)
            assert len(heard) >= len(before)
            before = heard
        assert heard == text.strip() or not answer[-1].complete


def _random_answer(chance: random.Random, words: list[str]) -> list[Passage]:
    answer: list[Passage] = []
    start_s = 0.0
    count = chance.randrange(1, 5)
    for at in range(count):
        said = chance.choices(words, k=chance.randrange(1, 9))
        duration_s = chance.uniform(0.1, 5.0)
        times_s = sorted(chance.uniform(0, duration_s) for _ in said)
        marked = [SpeechMark("word", word, at_s) for word, at_s in zip(said, times_s, strict=True)]
        marked = [mark for mark in marked if chance.random() < 0.7] if chance.random() < 0.5 else []
        complete = at < count - 1 or chance.random() < 0.5
        text = chance.choice(["", " ", "\n"]) + chance.choice(["", " "]).join(said) + chance.choice(["", " "])
        answer.append(Passage(text, start_s, duration_s, complete, marked))
        start_s += duration_s
    return answer
