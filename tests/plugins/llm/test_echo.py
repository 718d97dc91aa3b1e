"""The echo language model."""

from __future__ import annotations

import logging
from contextlib import aclosing
from dataclasses import replace

import anyio
import anyio.lowlevel
import pytest

import jackfield_llm_echo
from jackfield import Site
from jackfield.contracts.llm import LLM, Finish, GenerationRequest, Message, ToolCall, ToolSpec, Usage
from jackfield.testing import LLMSuite
from jackfield.testing.llm import answer_of
from jackfield_llm_echo import EchoOptions

pytestmark = pytest.mark.anyio

SAY = ToolSpec("say", "Says it.")


def build(**options: object) -> LLM:
    site = Site("llm", "echo", logging.getLogger("test"))
    return jackfield_llm_echo.make_llm(options=EchoOptions.model_validate(options), site=site)


def asking(text: str) -> GenerationRequest:
    return GenerationRequest((Message("system", "Be kind."), Message("user", text)))


class TestEcho(LLMSuite):
    capabilities = jackfield_llm_echo.plugin_info().capabilities(EchoOptions())
    distinct = (("a red apple", "apple"), ("a ripe pear", "pear"), ("a sour plum", "plum"))

    @pytest.fixture
    def llm(self) -> LLM:
        return build()


class TestSlowEcho(LLMSuite):
    capabilities = jackfield_llm_echo.plugin_info().capabilities(EchoOptions())

    @pytest.fixture
    def llm(self) -> LLM:
        return build(delay_s=0.001)


async def test_the_words_of_the_last_message_come_one_by_one() -> None:
    outputs = [output async for output in build().generate(asking("how  are\nyou"))]
    assert outputs == ["how  ", "are\n", "you", Finish("stop", Usage(5, 3), "echo", "echo")]


async def test_the_answer_is_exactly_the_message() -> None:
    text = "  white space\n\n of  all kinds \t"
    assert (await answer_of(build(), asking(text))).text == text


async def test_the_prefix_comes_first() -> None:
    assert (await answer_of(build(prefix="You said: "), asking("hi"))).text == "You said: hi"


async def test_max_tokens_counts_words() -> None:
    answer = await answer_of(build(), replace(asking("one two three"), max_tokens=2))
    assert (answer.text, answer.finish.reason) == ("one two ", "length")


async def test_the_earliest_stop_text_ends_the_answer() -> None:
    answer = await answer_of(build(), replace(asking("one two three"), stop=("three", "wo t", "")))
    assert (answer.text, answer.finish.reason) == ("one t", "stop")


async def test_the_tool_is_called_with_the_message() -> None:
    answer = await answer_of(build(tool="say"), replace(asking("hé"), tools=(SAY,)))
    assert answer.calls == (ToolCall("echo-2", "say", '{"text": "hé"}'),)
    assert answer.finish.reason == "tool_calls"


async def test_the_tools_result_is_the_answer() -> None:
    call = ToolCall("echo-2", "say", "{}")
    round_made = (Message("assistant", "", (call,)), Message("tool", "the result", tool_call_id=call.id))
    request = asking("hé")
    request = replace(request, messages=request.messages + round_made, tools=(SAY,))
    assert (await answer_of(build(tool="say"), request)).text == "the result"


async def test_a_tool_that_is_not_offered_is_not_called() -> None:
    assert (await answer_of(build(tool="say"), asking("hi"))).text == "hi"


async def test_a_long_answer_lets_others_run() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(others)
        async with aclosing(build().generate(asking("word " * 6400))) as generation:
            async for _output in generation:
                pass
        tasks.cancel_scope.cancel()
    assert turns >= 90
