"""The extension that answers without the model what is answered already."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import ValidationError

import jackfield_extension_cache as cache
from jackfield import Site, StoreUnavailable
from jackfield.contracts.llm import Finish, FinishReason, GenerationRequest, LLMOutput, ToolCall, ToolSpec
from jackfield.contracts.panel import Panel
from jackfield.contracts.tools import ToolContext
from jackfield.contracts.turn import ConversationRef
from jackfield.errors import ProtocolError, ProviderUnauthorized
from jackfield.testing import ManualClock
from jackfield_extension_cache import AnswerCache, CacheOptions
from jackfield_extension_cache.wording import wording
from jackfield_session_memory import MemoryOptions, MemoryStore
from tests.core.dialogue.stage import CONVERSATION, Figures, Stage, request

pytestmark = pytest.mark.anyio

HOURS = {"questions": ["When are you open?", "Opening hours"], "answer": "From nine to five."}


class Model:
    """Says what it was asked, and how often it has been asked anything."""

    def __init__(self, reason: FinishReason = "stop") -> None:
        self.asked = 0
        self._finish = Finish(reason)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        self.asked += 1
        yield f"{request.messages[-1].content} "
        yield f"({self.asked})"
        yield self._finish


class Caller(Model):
    """Calls a tool before it answers."""

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        if request.messages[-1].role == "user":
            yield ToolCall("1", "dice", "{}")
            yield Finish("tool_calls")
            return
        async with aclosing(super().generate(request)) as outputs:
            async for output in outputs:
                yield output


class Dice:
    """A tool whose answer holds for a moment."""

    spec = ToolSpec("dice", "Throws a die.")

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        return "six"


class Refusing(Model):
    """Cannot answer the first time."""

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        if not self.asked:
            self.asked += 1
            raise ProviderUnauthorized("no")
        async with aclosing(super().generate(request)) as outputs:
            async for output in outputs:
                yield output


class House:
    """A stage with a cache, where everybody begins a conversation of their own."""

    def __init__(
        self, folder: Path, llm: Model | None = None, parts: Mapping[str, Any] | None = None, **options: Any
    ) -> None:
        self.clock = ManualClock()
        self.model = llm or Model()
        self.cache = AnswerCache(CacheOptions.model_validate(options), SITE, clock=self.clock)
        self.stage = Stage(folder, llm=self.model, wrappers=[self.cache], **(parts or {}))
        self._visitors = 0

    async def first(self, text: str, **changes: Any) -> tuple[str, bool | None]:
        """Begin a conversation; gives the answer, and whether it came from a cache."""
        self._visitors += 1
        conversation = replace(CONVERSATION, session=str(self._visitors))
        return await self.say(text, conversation=conversation, **changes)

    async def say(self, text: str, **changes: Any) -> tuple[str, bool | None]:
        """Go on in the usual conversation."""
        outputs = await self.stage.outputs(text, **changes)
        assert isinstance(outputs[-1], Finish)
        return "".join(output for output in outputs if isinstance(output, str)), outputs[-1].cached


SITE = Site("extension.1", "cache", logging.getLogger(__name__))


# Answers of the model


async def test_the_second_conversation_that_begins_alike_gets_the_same_answer(tmp_path: Path) -> None:
    house = House(tmp_path)

    assert await house.first("Hello there") == ("Hello there (1)", False)
    assert await house.first("  hello   THERE!? ") == ("Hello there (1)", True)
    assert house.model.asked == 1


async def test_an_answer_from_the_cache_is_stored_as_any_other(tmp_path: Path) -> None:
    house = House(tmp_path)
    await house.first("Hello")
    await house.say("Hello")

    assert await house.stage.stored() == [(True, "Hello"), (False, "Hello (1)")]


async def test_a_later_message_is_answered_by_the_model_and_not_kept(tmp_path: Path) -> None:
    house = House(tmp_path)
    await house.say("Hello")

    assert await house.say("And you?") == ("And you? (2)", None)
    assert await house.say("Hello") == ("Hello (3)", None)
    assert await house.first("And you?") == ("And you? (4)", False)


@pytest.mark.parametrize(
    "change",
    [
        {"transport": "another"},
        {"language": "fr"},
        {"llm": "other"},
        {"username": "Bob"},
        {"scenario": "pirate"},
        {"scenario": "warmer"},
        {"text": "Hello C#"},
    ],
    ids=str,
)
async def test_what_an_answer_depends_on_asks_the_model_again(tmp_path: Path, change: dict[str, str]) -> None:
    instructions = "You talk to {username}."
    config = {
        "assistant": {"instructions": instructions},
        "scenarios": {
            "pirate": {"instructions": "Arr."},
            "warmer": {"instructions": instructions, "temperature": 1.0},
        },
    }
    other = Model()
    house = House(tmp_path, parts={"config": config, "named": {"other": other}})
    await house.first("Hello C")
    answer, cached = await house.first(**{"text": "Hello C", **change})

    assert not cached
    assert house.model.asked + other.asked == 2
    assert await house.first(**{"text": "Hello C", **change}) == (answer, True)


async def test_users_share_answers(tmp_path: Path) -> None:
    house = House(tmp_path)
    await house.first("Hello")
    stranger = replace(CONVERSATION.user, subject="bob")

    assert await house.say("Hello", conversation=ConversationRef("", stranger, "s")) == ("Hello (1)", True)


async def test_an_answer_is_forgotten_after_ten_minutes_however_often_it_was_given(tmp_path: Path) -> None:
    house = House(tmp_path)
    await house.first("Hello")
    house.clock.advance(599)
    assert await house.first("Hello") == ("Hello (1)", True)
    house.clock.advance(1)

    assert await house.first("Hello") == ("Hello (2)", False)


async def test_the_answer_that_was_longest_unused_makes_room(tmp_path: Path) -> None:
    house = House(tmp_path, max_entries=2)
    for text in ("a", "b", "a", "c"):
        await house.first(text)

    assert [(await house.first(text))[1] for text in ("a", "c", "b")] == [True, True, False]


async def test_an_answer_that_is_too_long_is_not_kept(tmp_path: Path) -> None:
    house = House(tmp_path, max_answer_chars=9)

    assert [(await house.first("12345"))[1] for _ in range(2)] == [False, True]
    assert [(await house.first("123456"))[1] for _ in range(2)] == [False, False]


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_an_answer_that_was_cut_is_not_kept(tmp_path: Path, reason: FinishReason) -> None:
    house = House(tmp_path, Model(reason))

    assert [(await house.first("Hello"))[1] for _ in range(2)] == [False, False]


async def test_an_answer_for_which_a_tool_was_called_is_not_kept(tmp_path: Path) -> None:
    house = House(tmp_path, Caller(), parts={"tools": [Dice()]})

    assert [(await house.first("Throw"))[1] for _ in range(2)] == [False, False]


async def test_what_fails_is_not_kept(tmp_path: Path) -> None:
    house = House(tmp_path, Refusing())
    with pytest.raises(ProtocolError):
        await house.first("Hello")

    assert await house.first("Hello") == ("Hello (2)", False)


async def test_an_answer_that_nobody_waited_for_is_not_kept(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with aclosing(house.stage.assistant.reply(request("Hello"))) as outputs:
        assert await anext(outputs) == "Hello "

    assert await house.first("Hello") == ("Hello (2)", False)


async def test_answers_need_not_be_kept(tmp_path: Path) -> None:
    house = House(tmp_path, keep_answers=False)

    assert [(await house.first("Hello"))[1] for _ in range(2)] == [None, None]
    assert house.model.asked == 2


# The FAQ


@pytest.mark.parametrize("question", ["When are you open?", "when are you  OPEN", "Opening hours..."])
async def test_a_configured_question_is_answered_without_the_model(tmp_path: Path, question: str) -> None:
    house = House(tmp_path, faq=[HOURS])

    assert await house.say(question) == ("From nine to five.", True)
    assert house.model.asked == 0
    assert await house.stage.stored() == [(True, question), (False, "From nine to five.")]


async def test_a_configured_question_is_answered_in_the_middle_of_a_conversation_too(tmp_path: Path) -> None:
    house = House(tmp_path, faq=[HOURS], keep_answers=False)
    await house.say("Hello")

    assert await house.say("When are you open?") == ("From nine to five.", True)
    assert house.model.asked == 1


@pytest.mark.parametrize(
    ("faq", "told"),
    [
        ([HOURS, {"questions": ["opening HOURS."], "answer": "Never."}], "asked by two entries"),
        ([{"questions": ["  "], "answer": "Never."}], "a question is empty"),
        ([{"questions": ["Open?"], "answer": " "}], "an answer is empty"),
        ([{"questions": [], "answer": "Never."}], "at least 1 item"),
    ],
)
def test_a_faq_that_cannot_be_meant_is_refused(faq: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        CacheOptions.model_validate({"faq": faq})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello", "hello"),
        (" Hello,\n  you! ", "hello, you"),
        ("Stra\u00dfe", "strasse"),
        ("Caf\u0065\u0301?", "caf\u00e9"),
        ("\u4f60\u597d\u3002", "\u4f60\u597d"),
        ("C#", "c#"),
        ("?!", "?!"),
        ("", ""),
    ],
)
def test_the_words_of_a_message(text: str, words: str) -> None:
    assert wording(text) == words


# The server around it


def panel(store: MemoryStore | None, figures: Figures) -> Panel:
    parts = SimpleNamespace(sessions=SimpleNamespace(shared=store), metrics=figures)
    return cast("Panel", parts)  # a stand-in with what a cache asks for


async def test_two_servers_share_answers_in_a_store(tmp_path: Path) -> None:
    store = MemoryStore(MemoryOptions())
    one, two = (House(tmp_path / name, shared=True) for name in ("one", "two"))
    for house in (one, two):
        await house.cache.run(panel(store, Figures()))
    await one.first("Hello")

    assert await two.first("Hello") == ("Hello (1)", True)
    assert two.model.asked == 0


async def test_what_is_shared_is_kept_under_a_digest_and_for_a_while(tmp_path: Path) -> None:
    kept: list[tuple[str, str, float]] = []

    class Store(MemoryStore):
        async def put(self, key: str, value: str, *, ttl_s: float, only_if_absent: bool = False) -> bool:
            kept.append((key, value, ttl_s))
            return True

    house = House(tmp_path, shared=True, ttl_s=7)
    await house.cache.run(panel(Store(MemoryOptions()), Figures()))
    await house.first("Hello")

    ((key, value, ttl_s),) = kept
    assert (value, ttl_s) == ("Hello (1)", 7)
    assert key.startswith("answer:")
    assert "ello" not in key


async def test_without_its_store_the_model_is_asked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Away(MemoryStore):
        async def get(self, key: str) -> str | None:
            raise StoreUnavailable("away")

        async def put(self, key: str, value: str, *, ttl_s: float, only_if_absent: bool = False) -> bool:
            raise StoreUnavailable("away")

    house = House(tmp_path, shared=True)
    await house.cache.run(panel(Away(MemoryOptions()), Figures()))

    assert [await house.first("Hello") for _ in range(2)] == [("Hello (1)", False), ("Hello (2)", False)]
    assert "no answer can be looked up" in caplog.text
    assert "Hello" not in caplog.text


async def test_outcomes_are_figures(tmp_path: Path) -> None:
    figures = Figures()
    house = House(tmp_path, faq=[HOURS])
    await house.cache.run(panel(None, figures))
    for text in ("Hello", "Hello", "Opening hours"):
        await house.first(text)

    assert figures.named["jackfield_cache_total"].values == {
        ("trial", "miss"): 1,
        ("trial", "hit"): 1,
        ("trial", "faq"): 1,
    }


@pytest.mark.parametrize(("shared", "roles"), [(False, ()), (True, ("shared",))])
def test_it_declares_the_store_that_it_needs(shared: bool, roles: tuple[str, ...]) -> None:
    assert cache.plugin_info().capabilities(CacheOptions(shared=shared)).roles == roles
