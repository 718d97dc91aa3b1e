"""Prompts: the opening, what was said before, and the new message last."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from jackfield.assembly import Built
from jackfield.config.sections import Config
from jackfield.contracts.llm import LLM, Message
from jackfield.contracts.session import StoredMessage, Window
from jackfield.dialogue.prompt import PromptWriter
from jackfield.dialogue.scenarios import ScenarioTable
from jackfield.plugin import Capabilities
from jackfield_llm_echo import EchoLLM, EchoOptions

START = datetime(2026, 1, 1, tzinfo=UTC)


def window(messages: int) -> Window:
    """Pairs as they are stored; with an odd number the oldest question is gone."""
    stored = [
        StoredMessage(
            f"{'qa'[number % 2]}{number // 2}",
            "text",
            START + timedelta(seconds=number // 2),
            is_user=number % 2 == 0,
        )
        for number in range(messages % 2, messages + messages % 2)
    ]
    return Window(tuple(stored))


def write(
    messages: int = 0,
    *,
    most: int = 10,
    context_tokens: int | None = None,
    max_tokens: int | None = None,
    assistant: dict[str, object] | None = None,
    text: str = "now",
) -> list[Message]:
    model: LLM = EchoLLM(EchoOptions())
    llm = Built("llm", "echo", Capabilities(context_tokens=context_tokens), model)
    table = ScenarioTable(Config.model_validate({"assistant": assistant or {"instructions": "Be kind."}}))
    writer = PromptWriter(most, max_tokens)
    return writer.write("k", window(messages), table.part(None), llm, text, "Ada {x}")


def test_the_opening_comes_first_and_the_new_message_last() -> None:
    prompt = write(
        2,
        assistant={
            "instructions": "You talk with {username}.",
            "examples": [{"user": "Say {username}.", "assistant": "{username}"}],
        },
    )

    assert prompt == [
        Message("system", "You talk with Ada {x}."),
        Message("user", "Say {username}."),
        Message("assistant", "{username}"),
        Message("user", "q0"),
        Message("assistant", "a0"),
        Message("user", "now"),
    ]


@pytest.mark.parametrize(
    ("stored", "most", "first", "length"),
    [
        (0, 10, "now", 1),
        (8, 10, "q0", 9),
        (10, 10, "q1", 9),
        (9, 10, "q1", 9),
        (10, 11, "q0", 11),
        (10, 1, "now", 1),
        (10, 2, "now", 1),
        (10, 3, "q4", 3),
    ],
)
def test_at_most_so_many_messages_are_told_and_none_is_an_answer_without_its_question(
    stored: int, most: int, first: str, length: int
) -> None:
    _, *said = write(stored, most=most)

    assert said[0].content == first
    assert len(said) == length <= most
    assert said[-1] == Message("user", "now")


def test_the_prompt_leaves_the_answer_its_share_of_the_context() -> None:
    # Each message takes 1 word and 8 tokens of template; opening and question take 19.
    prompt = write(8, context_tokens=100)  # 75 for the prompt, 56 for the past: 6 messages of 9

    assert [message.content for message in prompt[1:]] == ["q3", "a3", "now"]
    assert sum(1 + 8 for _ in prompt[1:-1]) <= 56


def test_a_short_answer_leaves_more_room_for_the_past() -> None:
    short = write(8, context_tokens=100, max_tokens=5)
    long = write(8, context_tokens=100, max_tokens=1000)

    assert len(short) > len(long)


def test_a_question_that_fills_the_context_is_asked_all_the_same() -> None:
    prompt = write(8, context_tokens=20, text="many words " * 50)

    assert [message.role for message in prompt] == ["system", "user"]
