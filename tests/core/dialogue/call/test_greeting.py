"""What is left of a greeting: what was heard of it is stored, and later turns know of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from jackfield.contracts.call import ReplyFinished
from jackfield.contracts.extension import Answer
from jackfield.contracts.turn import TurnOutput, TurnRequest
from jackfield.errors import ProviderUnavailable
from jackfield.testing import FakeLLM, FakeTTS, VirtualClock
from tests.core.dialogue.call.talk import Exchange

pytestmark = pytest.mark.anyio

GREETING = {"assistant": {"greeting": "Good morning."}}


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


async def texts(exchange: Exchange) -> list[str]:
    return [text for _, text in await exchange.stage.stored()]


async def test_what_was_heard_of_an_interrupted_greeting_is_stored(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, llm=FakeLLM(outputs=("Fine.",)), config=GREETING)
    async with exchange.call() as talk:
        await talk.hush(0.3)
        await talk.ask()
        await talk.answered(2)

    greeting, answer = talk.leg.events(ReplyFinished)
    assert (greeting.text, greeting.outcome, answer.outcome) == ("Good", "interrupted", "ok")
    assert await texts(exchange) == ["Good", "hello there", "Fine."]


async def test_what_was_heard_of_a_greeting_is_stored_when_the_caller_hangs_up(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, config=GREETING)
    async with exchange.call() as talk:
        await talk.hush(0.4)
        talk.call.hang_up()
        await talk.ended.wait()

    assert await texts(exchange) == ["Good"]


async def test_a_greeting_that_nobody_heard_is_not_stored(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, config=GREETING)
    async with exchange.call() as talk:
        await talk.hush(0.06)
        talk.call.interrupt()
        await talk.hush(1)

    assert await texts(exchange) == []


@pytest.mark.parametrize("hushed_s", [0.3, 3.0])
async def test_a_greeting_that_the_voice_could_not_speak_is_not_stored(
    tmp_path: Path, hushed_s: float
) -> None:
    tts = FakeTTS(pcm=(), error=lambda: ProviderUnavailable("down"))
    exchange = Exchange(tmp_path, tts=tts, config=GREETING)
    async with exchange.call() as talk:
        await talk.hush(hushed_s)
        talk.call.interrupt()
        await talk.hush(0.1)

    assert await texts(exchange) == []


async def test_a_prompt_does_not_begin_with_the_greeting(tmp_path: Path) -> None:
    llm = FakeLLM(outputs=("Fine.",))
    async with Exchange(tmp_path, llm=llm, config=GREETING).call() as talk:
        await talk.answered(1)
        await talk.ask()
        await talk.answered(2)

    assert [message.content for message in llm.requests[0].messages[1:]] == ["hello there"]


async def test_a_later_greeting_is_told_together_with_the_answer_before(tmp_path: Path) -> None:
    llm = FakeLLM(outputs=("Fine.",))
    exchange = Exchange(tmp_path, llm=llm, config=GREETING)
    for _ in range(2):
        async with exchange.call() as talk:
            await talk.answered(1)
            await talk.ask()
            await talk.answered(2)

    assert [message.content for message in llm.requests[1].messages[1:]] == [
        "hello there",
        "Fine.\nGood morning.",
        "hello there",
    ]


async def test_the_first_question_after_a_greeting_is_the_first(tmp_path: Path) -> None:
    seen: list[bool] = []

    class Watch:
        def around_turn(self, request: TurnRequest, answer: Answer) -> AsyncGenerator[TurnOutput, None]:
            seen.append(request.first)
            return answer(request)

    async with Exchange(tmp_path, wrappers=[Watch()], config=GREETING).call() as talk:
        await talk.answered(1)
        for item in (2, 3):
            await talk.ask()
            await talk.answered(item)

    assert seen == [True, False]
