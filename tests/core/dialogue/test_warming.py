"""What models are shown when the server starts."""

from __future__ import annotations

import logging
from dataclasses import replace
from types import SimpleNamespace

import pytest

from jackfield.assembly import Built, Providers
from jackfield.config.sections import Config
from jackfield.contracts.llm import LLM, Message, ToolSpec
from jackfield.dialogue.scenarios import ScenarioTable
from jackfield.dialogue.warming import Warming
from jackfield.errors import ProviderUnavailable
from jackfield.plugin import Capabilities
from jackfield.testing.fakes import FakeLLM

pytestmark = pytest.mark.anyio

LOCAL = Capabilities(keeps_prefixes=True, max_concurrency=2)


def built(llm: FakeLLM, capabilities: Capabilities = LOCAL) -> Built[LLM]:
    return Built("llm", "fake", capabilities, llm)


async def warm(llm: Built[LLM], **sections: object) -> None:
    config = Config.model_validate({"assistant": {"instructions": "plain"}, **sections})
    await Warming(Providers(llm), (), ScenarioTable(config)).run()


def scenarios(*instructions: str) -> dict[str, dict[str, str]]:
    return {f"part{number}": {"instructions": text} for number, text in enumerate(instructions)}


def shown(llm: FakeLLM) -> list[str]:
    return [request.messages[0].content for request in llm.requests]


async def test_a_model_that_keeps_prefixes_reads_every_opening_once() -> None:
    llm = FakeLLM()

    await warm(built(llm), scenarios=scenarios("host", "plain"))

    assert shown(llm) == ["plain", "host"]
    assert {(request.max_tokens, request.conversation) for request in llm.requests} == {(1, None)}
    assert all(request.messages[-1] == Message("user", "Hello.") for request in llm.requests)


async def test_openings_are_shown_with_the_tools_that_there_are_by_then() -> None:
    llm, source = FakeLLM(), SimpleNamespace(tools=())
    tools = [Built("extension.1", "fake", Capabilities(), source)]
    warming = Warming(Providers(built(llm)), tools, ScenarioTable(Config()))
    source.tools = [SimpleNamespace(spec=ToolSpec("clock", "Tells the time."))]

    await warming.run()

    assert [request.tools for request in llm.requests] == [(ToolSpec("clock", "Tells the time."),)]


async def test_a_model_that_does_not_is_not_asked() -> None:
    llm = FakeLLM()

    await warm(built(llm, Capabilities()))

    assert llm.requests == []


async def test_every_model_of_a_chain_that_keeps_prefixes_is_shown_them() -> None:
    first, second = FakeLLM(), FakeLLM()
    chain = replace(built(FakeLLM()), members=(built(first, Capabilities()), built(second)))

    await warm(chain)

    assert (shown(first), shown(second)) == ([], ["plain"])


async def test_no_more_are_shown_than_the_model_has_places_for() -> None:
    llm = FakeLLM()

    await warm(built(llm), scenarios=scenarios("host", "judge"))

    assert shown(llm) == ["plain", "host"]


async def test_an_opening_that_differs_from_user_to_user_is_left_out() -> None:
    llm = FakeLLM()

    await warm(built(llm), scenarios=scenarios("You talk to {username}."))

    assert shown(llm) == ["plain"]


async def test_a_failure_is_logged_and_the_next_opening_shown(caplog: pytest.LogCaptureFixture) -> None:
    llm = FakeLLM(error=lambda: ProviderUnavailable("gone"))
    with caplog.at_level(logging.WARNING):
        await warm(replace(built(llm), section="llm.named.small"), scenarios=scenarios("host"))

    assert len(llm.requests) == 2
    assert "[llm.named.small] fake cannot be warmed: ProviderUnavailable" in caplog.text
