"""The extension `cache` in live calls."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from jackfield import Site
from jackfield.contracts.call import ReplyFinished
from jackfield.contracts.turn import ConversationRef
from jackfield.testing import FakeLLM, VirtualClock
from jackfield_extension_cache import AnswerCache, CacheOptions
from tests.core.dialogue.call.talk import Exchange
from tests.core.dialogue.stage import USER

pytestmark = pytest.mark.anyio

FAQ = [{"questions": ["Hello there!"], "answer": "Good day to you."}]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


def exchange(folder: Path, llm: FakeLLM, **options: Any) -> Exchange:
    """An exchange where everybody says "hello there"."""
    site = Site("extension.1", "cache", logging.getLogger(__name__))
    cache = AnswerCache(CacheOptions.model_validate(options), site)
    return Exchange(folder, llm=llm, wrappers=[cache])


async def answer(lines: Exchange, session: str) -> tuple[str, str]:
    """What a caller who asks one thing is answered, heard to the end, and who answered."""
    async with lines.call(conversation=ConversationRef("", USER, session)) as talk:
        await talk.ask()
        await talk.answered(1)
        (finished,) = talk.leg.events(ReplyFinished)
    assert finished.outcome == "ok"
    return finished.text, finished.providers["llm"]


async def test_a_configured_question_is_answered_without_the_model(tmp_path: Path) -> None:
    llm = FakeLLM()

    assert await answer(exchange(tmp_path, llm, faq=FAQ), "one") == ("Good day to you.", "cache")
    assert [request for request in llm.requests if not request.warming] == []


async def test_the_second_call_that_begins_alike_gets_the_same_answer(tmp_path: Path) -> None:
    llm = FakeLLM(outputs=("Fine, thank you.",))
    lines = exchange(tmp_path, llm)

    answers = [await answer(lines, session) for session in ("one", "two")]
    assert answers == [("Fine, thank you.", "echo"), ("Fine, thank you.", "cache")]
    assert len([request for request in llm.requests if not request.warming]) == 1
