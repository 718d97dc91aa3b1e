"""The conformance suite of language models."""

from __future__ import annotations

import json
import time
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import ClassVar, get_args

import anyio
import pytest

from jackfield.contracts.llm import (
    LLM,
    Finish,
    FinishReason,
    GenerationRequest,
    LLMOutput,
    Message,
    TokenCounter,
    ToolCall,
    ToolSpec,
)
from jackfield.errors import ProviderError
from jackfield.testing.cancellation import (
    CONTROL_S,
    Ready,
    Work,
    assert_computation_stops,
    assert_gives_control_back,
    assert_places_are_free,
)
from jackfield.testing.suite import ODD_TEXTS, Suite


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole generation."""

    text: str
    calls: tuple[ToolCall, ...]
    finish: Finish


async def answer_of(llm: LLM, request: GenerationRequest) -> Answer:
    """Read a generation to its end; fails when its outputs are not as the contract says."""
    outputs: list[LLMOutput] = []
    async with aclosing(llm.generate(request)) as generation:
        async for output in generation:
            assert isinstance(output, str | ToolCall | Finish), f"This is no output: {type(output).__name__}"
            outputs.append(output)
    finishes = [output for output in outputs if isinstance(output, Finish)]
    assert len(finishes) == 1, f"A generation ends with one Finish; this one gave {len(finishes)}."
    assert outputs[-1] is finishes[0], "Finish comes last; something came after it."
    text = "".join(output for output in outputs if isinstance(output, str))
    calls = tuple(output for output in outputs if isinstance(output, ToolCall))
    return Answer(text, calls, finishes[0])


class LLMSuite(Suite):
    """Subclass it and define the fixture `llm`: a language model ready for use."""

    prompt: ClassVar[str] = (
        "Count in words from one to fifty: one two three four five six seven eight nine ten"
    )
    """A question with an answer of many words, better one that takes a second or more."""
    deterministic: ClassVar[bool] = True
    """Whether the same request at temperature 0 has the same answer, also beside other requests."""
    distinct: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Questions, each with a word that its answer contains and the others' answers do not."""
    max_tokens: ClassVar[int] = 48
    """Most tokens of the answers that are read to their end."""

    def request(self, text: str | None = None) -> GenerationRequest:
        """Make a request with one message of the user."""
        message = Message("user", self.prompt if text is None else text)
        return GenerationRequest((message,), temperature=0.0, max_tokens=self.max_tokens)

    async def test_text_comes_in_pieces_and_one_finish_comes_last(self, llm: LLM) -> None:
        answer = await answer_of(llm, self.request())
        assert answer.text.strip(), "The answer to `prompt` has no text."
        assert answer.finish.reason in get_args(FinishReason)

    async def test_usage_counts_are_not_negative(self, llm: LLM) -> None:
        usage = (await answer_of(llm, self.request())).finish.usage
        if usage is not None:
            assert usage.prompt_tokens > 0
            assert usage.completion_tokens > 0
            assert 0 <= usage.cached_tokens <= usage.prompt_tokens

    async def test_max_tokens_bounds_the_answer(self, llm: LLM) -> None:
        whole = await answer_of(llm, self.request())
        short = await answer_of(llm, replace(self.request(), max_tokens=2))
        assert len(short.text.split()) <= 2
        if short.finish.usage is not None:
            assert short.finish.usage.completion_tokens <= 2
        if len(whole.text.split()) > 2:
            assert short.finish.reason == "length"

    async def test_a_stop_text_ends_the_answer_and_is_not_part_of_it(self, llm: LLM) -> None:
        whole = (await answer_of(llm, self.request())).text
        stop = whole.strip()[len(whole.strip()) // 2 :][:3]
        stopped = (await answer_of(llm, replace(self.request(), stop=(stop,)))).text
        assert stop not in stopped
        if self.deterministic:
            assert whole[: whole.find(stop)].strip() == stopped.strip()

    async def test_a_conversation_with_a_tool_round_is_understood(self, llm: LLM) -> None:
        call = ToolCall("call-1", "clock", '{"zone": "UTC"}')
        messages = (
            Message("system", "Answer briefly."),
            Message("user", "What time is it?"),
            Message("assistant", "", tool_calls=(call,)),
            Message("tool", "It is noon.", tool_call_id="call-1"),
        )
        tools = (ToolSpec("clock", "Tells the time.", {"type": "object", "properties": {}}),)
        request = replace(self.request(), messages=messages, tools=tools, max_tokens=16)
        answer = await answer_of(llm, request)
        for made in answer.calls:
            assert made.name == "clock"
            assert isinstance(json.loads(made.arguments), dict)

    @pytest.mark.parametrize("text", [*ODD_TEXTS.values(), ""], ids=[*ODD_TEXTS, "empty"])
    async def test_odd_text_is_answered_or_refused_with_a_provider_error(self, llm: LLM, text: str) -> None:
        with suppress(ProviderError):
            await answer_of(llm, replace(self.request(text), max_tokens=4))

    async def test_a_very_long_text_is_answered_or_refused_with_a_provider_error(self, llm: LLM) -> None:
        with suppress(ProviderError):
            await answer_of(llm, replace(self.request("all work and no play " * 20_000), max_tokens=4))

    async def test_it_works_again_after_odd_requests(self, llm: LLM) -> None:
        for text in ("", "all work and no play " * 20_000):
            with suppress(ProviderError):
                await answer_of(llm, replace(self.request(text), max_tokens=4))
        assert (await answer_of(llm, self.request())).text.strip()

    async def test_two_at_once_do_not_mix(self, llm: LLM) -> None:
        prompts = [self.prompt, f"{self.prompt} eleven twelve", "Say hello."]
        alone = [await answer_of(llm, self.request(prompt)) for prompt in prompts]
        together = await self._answers_at_once(llm, prompts)
        if self.deterministic:
            assert [answer.text for answer in together] == [answer.text for answer in alone]

    async def test_questions_at_once_get_their_own_answers(self, llm: LLM) -> None:
        if not self.distinct:
            return  # the suite names no questions
        answers = await self._answers_at_once(llm, [question for question, _word in self.distinct])
        for at, (_question, word) in enumerate(self.distinct):
            holding = [other for other, answer in enumerate(answers) if word.lower() in answer.text.lower()]
            assert holding == [at]

    async def test_cancelled_halfway_the_caller_has_control_at_once(self, llm: LLM) -> None:
        await assert_gives_control_back(self._generation(llm, after_first=True))

    async def test_cancelled_before_the_first_piece_the_caller_has_control_at_once(self, llm: LLM) -> None:
        await assert_gives_control_back(self._generation(llm, after_first=False))

    async def test_closed_halfway_nothing_more_is_delivered(self, llm: LLM) -> None:
        took_s = []
        for _ in range(3):
            generation = llm.generate(self._long_request())
            await anext(generation)
            begin = time.perf_counter()
            await generation.aclose()
            took_s.append(time.perf_counter() - begin)
            with pytest.raises(StopAsyncIteration):
                await anext(generation)
        assert min(took_s) <= CONTROL_S

    async def test_a_generation_may_be_closed_twice_and_before_it_began(self, llm: LLM) -> None:
        for begun in (False, True):
            generation = llm.generate(self.request())
            if begun:
                await anext(generation)
            await generation.aclose()
            await generation.aclose()

    async def test_the_cancelled_computation_stops(self, llm: LLM) -> None:
        await assert_computation_stops(self._all_places(llm), self.capabilities.cancel_s)

    async def test_cancelled_generations_give_their_places_back(self, llm: LLM) -> None:
        async def first_output_s() -> float:
            begin = time.perf_counter()
            async with aclosing(llm.generate(self.request("Say hello."))) as generation:
                await anext(generation)
            return time.perf_counter() - begin

        await assert_places_are_free(self._all_places(llm), self.capabilities.cancel_s, first_output_s)

    async def test_counting_tokens_grows_with_the_text(self, llm: LLM) -> None:
        if not isinstance(llm, TokenCounter):
            return  # it does not count tokens
        assert llm.count_tokens("") == 0
        assert 0 < llm.count_tokens("one two") < llm.count_tokens("one two three four five six seven")

    async def _answers_at_once(self, llm: LLM, prompts: list[str]) -> list[Answer]:
        answers: dict[int, Answer] = {}

        async def ask(at: int, prompt: str) -> None:
            answers[at] = await answer_of(llm, self.request(prompt))

        async with anyio.create_task_group() as tasks:
            for at, prompt in enumerate(prompts):
                tasks.start_soon(ask, at, prompt)
        return [answers[at] for at in range(len(prompts))]

    def _long_request(self) -> GenerationRequest:
        return replace(self.request(), max_tokens=None)

    def _all_places(self, llm: LLM) -> list[Work]:
        return [self._generation(llm, after_first=True)] * (self.capabilities.max_concurrency or 2)

    def _generation(self, llm: LLM, *, after_first: bool) -> Work:
        async def generate(ready: Ready) -> None:
            if not after_first:
                ready()
            async with aclosing(llm.generate(self._long_request())) as generation:
                async for _output in generation:
                    ready()

        return generate
