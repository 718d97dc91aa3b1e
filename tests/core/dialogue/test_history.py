"""History: what of a conversation fits into a prompt, and that its beginning stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from jackfield.contracts.llm import Message
from jackfield.contracts.session import StoredMessage
from jackfield.dialogue.history import History, token_counter, told
from jackfield.testing import FakeLLM
from jackfield_llm_echo import EchoLLM, EchoOptions

START = datetime(2026, 1, 1, tzinfo=UTC)
PAIR_TOKENS = 2 * (12 + 8)  # what a template adds to each message counts too


def pair(number: int, at: datetime | None = None) -> list[StoredMessage]:
    when = at or START + timedelta(seconds=number)
    return [
        StoredMessage(f"q{number}", "text", when, is_user=True),
        StoredMessage(f"a{number}", "text", when, is_user=False),
    ]


def pairs(*numbers: int) -> list[StoredMessage]:
    return [message for number in numbers for message in pair(number)]


def fit(history: History, stored: list[StoredMessage], room: int, key: str = "k") -> list[str]:
    found = history.fit(key, stored, room_tokens=room, count=lambda text: 12)
    return [message.content for message in found]


def contents(*numbers: int) -> list[str]:
    return [message.content for message in pairs(*numbers)]


def test_a_model_is_told_who_said_what() -> None:
    assert told(pairs(1)) == [Message("user", "q1"), Message("assistant", "a1")]


def test_what_fits_exactly_is_kept() -> None:
    assert fit(History(), pairs(1, 2, 3), 3 * PAIR_TOKENS) == contents(1, 2, 3)


def test_what_does_not_fit_is_cut_to_six_tenths_at_once() -> None:
    stored = pairs(*range(1, 12))

    assert fit(History(), stored, 10 * PAIR_TOKENS) == contents(*range(6, 12))


def test_the_beginning_stays_until_there_is_no_room_again() -> None:
    history = History()
    firsts = [fit(history, pairs(*range(1, last + 1)), 10 * PAIR_TOKENS)[0] for last in range(1, 22)]

    assert firsts == ["q1"] * 10 + ["q6"] * 5 + ["q11"] * 5 + ["q16"]


def test_a_question_stays_with_its_answer() -> None:
    for room in range(1, 12 * PAIR_TOKENS):
        found = fit(History(), pairs(*range(1, 11)), room)

        assert len(found) % 2 == 0
        assert not found or found[0].startswith("q")


def test_without_room_nothing_is_kept_and_nothing_breaks() -> None:
    history = History()

    assert fit(history, pairs(1, 2), 0) == []
    assert fit(history, pairs(1, 2), -100) == []
    assert fit(history, [], 100) == []
    assert fit(history, pairs(1, 2, 3), 3 * PAIR_TOKENS) == contents(1, 2, 3)


def test_a_clock_that_is_set_back_loses_nothing() -> None:
    history = History()
    fit(history, pairs(1, 2, 3), 2 * PAIR_TOKENS)
    stored = [*pairs(1, 2, 3), *pair(4, START - timedelta(hours=1))]

    assert fit(history, stored, 2 * PAIR_TOKENS) == contents(3, 4)


def test_a_cut_that_the_store_has_dropped_cuts_nothing() -> None:
    history = History()
    fit(history, pairs(1, 2, 3), 2 * PAIR_TOKENS)

    assert fit(history, pairs(4, 5), 2 * PAIR_TOKENS) == contents(4, 5)


def test_conversations_are_cut_apart() -> None:
    history = History()
    fit(history, pairs(1, 2, 3), 2 * PAIR_TOKENS, key="one")

    assert fit(history, pairs(1, 2), 2 * PAIR_TOKENS, key="two") == contents(1, 2)


def test_the_cuts_of_no_more_than_ten_thousand_conversations_are_remembered() -> None:
    history = History()
    for number in range(10_100):
        fit(history, pairs(1, 2, 3), 2 * PAIR_TOKENS, key=str(number))

    assert len(vars(history)["_cuts"]) == 10_000


def test_a_model_counts_itself_where_it_can() -> None:
    assert token_counter(EchoLLM(EchoOptions()))("one two three") == 3


def test_an_estimate_is_cautious_in_any_script() -> None:
    count = token_counter(FakeLLM())

    assert count("") == 1
    assert count("hello there") == 4
    assert count("你好") == 3
