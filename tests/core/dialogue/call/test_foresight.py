"""What the model reads while the user still speaks."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import anyio
import pytest

from jackfield.contracts.llm import Finish, GenerationRequest, LLMOutput
from jackfield.dialogue.call.service import CallService
from jackfield.dialogue.scenarios import ScenarioTable
from jackfield.errors import ProviderUnavailable
from jackfield.testing import VirtualClock
from tests.core.dialogue.call.talk import Exchange, scripted

pytestmark = pytest.mark.anyio

_SCENARIOS: Final = {name: {"instructions": name} for name in ("host", "judge")}


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


class Reader:
    """A model that tells what it was given to read, and takes its time."""

    def __init__(self, seconds: float = 0.0, error: Exception | None = None) -> None:
        self.read: list[tuple[str, ...]] = []
        self.openings: list[str] = []
        self.left = 0
        self._seconds = seconds
        self._error = error

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        self.read.append(tuple(message.content for message in request.messages if message.role != "system"))
        self.openings.append(request.messages[0].content)
        if request.max_tokens == 1:
            try:
                await anyio.sleep(self._seconds)
            except BaseException:
                self.left += 1
                raise
            if self._error is not None:
                raise self._error
        yield "Yes."
        yield Finish("stop")


def exchange_with(reader: Reader, folder: Path, *, keeps_prefixes: bool = True) -> Exchange:
    config = {"assistant": {"instructions": "plain"}, "scenarios": _SCENARIOS}
    exchange = Exchange(folder, llm=reader, stt=scripted("one", "two"), config=config)
    default = exchange.assembly.llm.default
    assert default is not None
    capabilities = replace(default.capabilities, keeps_prefixes=keeps_prefixes)
    llm = replace(exchange.assembly.llm, default=replace(default, capabilities=capabilities))
    stage = exchange.stage
    exchange.service = CallService(
        replace(exchange.assembly, llm=llm),
        sessions=stage.sessions,
        scenarios=ScenarioTable(stage.config),
        order=stage.assistant.order,
        metrics=stage.figures,
        publish=stage.events.append,
    )
    return exchange


async def test_the_model_reads_what_was_said_before_while_the_user_speaks(tmp_path: Path) -> None:
    reader = Reader()
    async with exchange_with(reader, tmp_path).call() as talk:
        await talk.ask()
        await talk.answered(1)
        await talk.ask()
        await talk.answered(2)

    assert reader.read == [("",), ("one",), ("one", "Yes.", ""), ("one", "Yes.", "two")]


async def test_a_model_that_keeps_nothing_reads_only_prompts(tmp_path: Path) -> None:
    reader = Reader()
    async with exchange_with(reader, tmp_path, keeps_prefixes=False).call() as talk:
        await talk.ask()
        await talk.answered(1)

    assert reader.read == [("one",)]


async def test_the_prompt_does_not_wait_for_what_is_still_being_read(tmp_path: Path) -> None:
    reader = Reader(seconds=1000)
    async with exchange_with(reader, tmp_path).call() as talk:
        await talk.ask()
        finished = await talk.answered(1)

    assert finished.stages["first_token"] < 0.5
    assert reader.left == 1


@pytest.mark.parametrize("error", [ProviderUnavailable("gone"), RuntimeError("broken")])
async def test_a_model_that_cannot_read_ahead_answers_all_the_same(tmp_path: Path, error: Exception) -> None:
    async with exchange_with(Reader(error=error), tmp_path).call() as talk:
        await talk.ask()
        assert (await talk.answered(1)).outcome == "ok"


async def test_how_another_scenario_begins_is_read_as_soon_as_it_is_chosen(tmp_path: Path) -> None:
    reader = Reader()
    async with exchange_with(reader, tmp_path).call() as talk:
        await talk.ask()
        await talk.answered(1)
        talk.call.switch("host")
        await talk.hush(1)

    assert reader.openings == ["plain", "plain", "host"]
    assert reader.read[-1] == ("one", "Yes.", "")


async def test_how_another_scenario_begins_is_read_when_the_answer_is_over(tmp_path: Path) -> None:
    reader = Reader()
    async with exchange_with(reader, tmp_path).call() as talk:
        await talk.ask()
        await talk.sounding(1)
        talk.call.switch("host")
        assert reader.openings == ["plain", "plain"]
        await talk.answered(1)
        await talk.hush(1)

    assert reader.openings == ["plain", "plain", "host"]
    assert reader.read[-1] == ("one", "Yes.", "")


async def test_how_another_scenario_begins_is_read_once_though_the_user_speaks(tmp_path: Path) -> None:
    reader = Reader(seconds=0.3)
    async with exchange_with(reader, tmp_path).call() as talk:
        talk.call.switch("host")
        await talk.hush(0.1)
        await talk.ask()
        await talk.answered(1)

    assert reader.read == [("",), ("one",)]
    assert (reader.openings, reader.left) == (["host", "host"], 0)


async def test_a_scenario_that_is_left_at_once_is_read_no_further(tmp_path: Path) -> None:
    reader = Reader(seconds=0.3)
    async with exchange_with(reader, tmp_path).call() as talk:
        talk.call.switch("host")
        await talk.hush(0.1)
        talk.call.switch("judge")
        await talk.hush(1)

    assert (reader.openings, reader.left) == (["host", "judge"], 1)


async def test_a_typed_question_right_after_a_switch_does_not_wait_for_the_reading(tmp_path: Path) -> None:
    reader = Reader(seconds=1000)
    async with exchange_with(reader, tmp_path).call() as talk:
        talk.call.switch("host")
        talk.call.text("one")
        finished = await talk.answered(1)

    assert finished.stages["first_token"] < 0.5
    assert reader.read == [("one",)]
