"""The plugin `llama_cpp` with the real model."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest
from pydantic import ValidationError

from jackfield import Site
from jackfield.contracts.llm import LLM, Finish, GenerationRequest, Message, ToolSpec
from jackfield.errors import ContextTooLong, ProviderUnavailable
from jackfield.models import locate
from jackfield.testing.llm import Answer, LLMSuite, answer_of
from jackfield_llm_llama_cpp import LlamaCppOptions, make_llm, plugin_info

if TYPE_CHECKING:
    from jackfield_llm_llama_cpp.llm import LlamaCppLLM

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

EXAMPLES = (
    Message("system", "You are a helpful AI assistant named SmolLM, trained by Hugging Face"),
    Message("user", "What is the capital of Italy?"),
    Message("assistant", "The capital of Italy is Rome."),
    Message("user", "What is three plus three?"),
    Message("assistant", "Three plus three is six."),
)
CAPITALS = (("France", "Paris"), ("Germany", "Berlin"), ("Spain", "Madrid"), ("England", "London"))
STORY = "Tell me a long story about a baker."


def build(**options: object) -> LlamaCppLLM:
    """Make the model as the core does, with little memory."""
    if not os.environ.get("CI"):
        pytest.importorskip("llama_cpp")
    from jackfield_llm_llama_cpp.llm import LlamaCppLLM

    settings = LlamaCppOptions.model_validate({"context_tokens": 512, "threads": 1, **options})
    llm = make_llm(settings, Site("llm", "llama_cpp", logging.getLogger(__name__)))
    assert isinstance(llm, LlamaCppLLM)
    return llm


def ask(
    text: str,
    *,
    conversation: str | None = None,
    max_tokens: int = 12,
    before: tuple[Message, ...] = EXAMPLES,
) -> GenerationRequest:
    """A question after the examples that let so small a model answer in a sentence."""
    messages = (*before, Message("user", text))
    return GenerationRequest(messages, max_tokens=max_tokens, conversation=conversation)


def capital(country: str) -> GenerationRequest:
    """A question with a known answer."""
    return ask(f"What is the capital of {country}?", conversation=country)


async def at_once(llm: LLM, requests: list[GenerationRequest]) -> list[Answer]:
    """All answers, in the order of the requests."""
    answers: dict[int, Answer] = {}

    async def one(at: int) -> None:
        answers[at] = await answer_of(llm, requests[at])

    async with anyio.create_task_group() as tasks:
        for at in range(len(requests)):
            tasks.start_soon(one, at)
    return [answers[at] for at in range(len(requests))]


def cached(answer: Answer) -> int:
    """Tokens of the prompt that were not read again."""
    assert answer.finish.usage is not None
    return answer.finish.usage.cached_tokens


def read(answer: Answer) -> int:
    """Tokens of the prompt that were."""
    assert answer.finish.usage is not None
    return answer.finish.usage.prompt_tokens - cached(answer)


@pytest.fixture
async def llm() -> AsyncIterator[LlamaCppLLM]:
    async with build() as llm:
        yield llm


class TestConformance(LLMSuite):
    """What every language model promises."""

    capabilities = plugin_info().capabilities(LlamaCppOptions())
    prompt = STORY
    # What is computed together changes the last bits of the numbers.
    deterministic = False
    distinct = tuple((f"What is the capital of {country}?", city) for country, city in CAPITALS)

    @pytest.fixture(scope="class")
    @staticmethod
    async def llm() -> AsyncIterator[LLM]:
        async with build(context_tokens=1024) as llm:
            yield llm

    def request(self, text: str | None = None) -> GenerationRequest:
        made = super().request(text)
        return replace(made, messages=(*EXAMPLES, *made.messages))


async def test_four_chats_at_once_get_their_own_answers(llm: LlamaCppLLM) -> None:
    answers = await at_once(llm, [capital(country) for country, _ in CAPITALS])
    for answer, (_, city) in zip(answers, CAPITALS, strict=True):
        assert [each for _, each in CAPITALS if each in answer.text] == [city]


async def test_every_sequence_holds_its_own_chat_and_nothing_else(llm: LlamaCppLLM) -> None:
    from jackfield_llm_llama_cpp.model import Model

    await at_once(llm, [capital(country) for country, _ in CAPITALS])
    model = Model(locate("smollm2-135m-instruct"), gpu_layers=0)
    for slot in llm.engine.slots[: len(CAPITALS)]:
        text = b"".join(model.vocabulary.piece(token) or b"" for token in slot.tokens).decode()
        assert [country for country, _ in CAPITALS if country in text] == [slot.conversation]
    model.close()


async def test_no_chat_waits_for_another_to_finish(llm: LlamaCppLLM) -> None:
    events: list[tuple[str, str]] = []

    async def one(name: str) -> None:
        async for output in llm.generate(ask(f"{STORY} He is called {name}.", max_tokens=32)):
            kind = "end" if isinstance(output, Finish) else "piece"
            events.append((name, kind))

    async with anyio.create_task_group() as tasks:
        for name in ("Ann", "Bob", "Cem", "Dan"):
            tasks.start_soon(one, name)
    first_end = next(at for at, (_, kind) in enumerate(events) if kind == "end")
    assert {name for name, _ in events[:first_end]} == {"Ann", "Bob", "Cem", "Dan"}


async def test_a_long_prompt_does_not_stop_the_others_words(llm: LlamaCppLLM) -> None:
    long_prompt = ask("word " * 350, max_tokens=1)
    reading_done = anyio.Event()
    pieces_meanwhile = 0

    async def read_long() -> None:
        await answer_of(llm, long_prompt)
        reading_done.set()

    async with (
        anyio.create_task_group() as tasks,
        aclosing(llm.generate(ask(STORY, max_tokens=400))) as story,
    ):
        async for _ in story:
            if not pieces_meanwhile:
                tasks.start_soon(read_long)
            if reading_done.is_set():
                break
            pieces_meanwhile += 1
    assert pieces_meanwhile >= 350 // LlamaCppOptions().batch_tokens


async def test_the_second_turn_of_a_conversation_reads_only_what_is_new(llm: LlamaCppLLM) -> None:
    first = await answer_of(llm, capital("France"))
    history = (*EXAMPLES, Message("user", "What is the capital of France?"), Message("assistant", first.text))
    await answer_of(llm, capital("Spain"))
    second = await answer_of(
        llm, ask("What is the capital of Germany?", conversation="France", before=history)
    )
    assert first.finish.usage is not None
    assert cached(second) >= first.finish.usage.prompt_tokens
    assert "Berlin" in second.text


async def test_a_new_conversation_shares_instructions_that_another_has_read(llm: LlamaCppLLM) -> None:
    await answer_of(llm, capital("France"))
    new = await answer_of(llm, capital("Spain"))
    assert cached(new) > read(new)
    assert "Madrid" in new.text
    assert "Paris" in (await answer_of(llm, capital("France"))).text


async def test_instructions_are_read_once_by_chats_that_begin_at_once(llm: LlamaCppLLM) -> None:
    answers = await at_once(llm, [capital(country) for country, _ in CAPITALS])
    assert answers[0].finish.usage is not None
    assert sum(read(answer) for answer in answers) < 2 * answers[0].finish.usage.prompt_tokens


async def test_a_chat_reads_on_alone_when_the_one_it_shares_with_is_cancelled(llm: LlamaCppLLM) -> None:
    instructions = (Message("system", "Be kind. " * 100),)
    leader = anyio.CancelScope()

    async def lead() -> None:
        with leader:
            await answer_of(llm, ask(STORY, before=instructions))

    async def cancel_leader() -> None:
        await anyio.wait_all_tasks_blocked()
        leader.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lead)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(cancel_leader)
        answer = await answer_of(llm, ask("Say hello.", before=instructions))
    assert leader.cancelled_caught
    assert answer.text


async def test_more_chats_than_sequences_wait_and_are_answered() -> None:
    async with build(sequences=2, kept_sequences=0) as llm:
        answers = await at_once(llm, [capital(country) for country, _ in CAPITALS + CAPITALS])
    assert [answer.finish.reason for answer in answers] == ["stop"] * 8
    for answer, (_, city) in zip(answers, CAPITALS + CAPITALS, strict=True):
        assert city in answer.text


async def test_idle_conversations_give_way_when_memory_is_short() -> None:
    async with build(sequences=1, context_tokens=256, kept_sequences=8) as llm:
        for country, _ in CAPITALS:
            answer = await answer_of(llm, ask(f"{country} " * 100, conversation=country, max_tokens=4))
            assert answer.finish.reason in ("stop", "length")
        held = [slot for slot in llm.engine.slots if slot.tokens]
    assert len(held) < len(CAPITALS)


async def test_a_cancelled_chat_gives_its_place_back_and_the_others_go_on() -> None:
    async with build(sequences=2) as llm, aclosing(llm.generate(ask(STORY, max_tokens=400))) as story:
        await anext(story)
        async with aclosing(llm.generate(ask(STORY, max_tokens=400))) as other:
            await anext(other)
        answer = await answer_of(llm, capital("France"))
        assert "Paris" in answer.text
        await anext(story)


async def test_reading_a_long_prompt_that_nobody_waits_for_is_broken_off() -> None:
    async with build(sequences=1, batch_tokens=700, context_tokens=704) as llm:
        begin_s = time.perf_counter()
        whole = await answer_of(llm, ask("word " * 550, max_tokens=1))
        whole_s = time.perf_counter() - begin_s
        assert read(whole) > 550
        with anyio.move_on_after(whole_s / 8):
            await answer_of(llm, ask("other " * 550, max_tokens=1))
        begin_s = time.perf_counter()
        await answer_of(llm, ask("Hello.", max_tokens=1))
        assert time.perf_counter() - begin_s < whole_s / 2


async def test_a_cancelled_chat_that_waits_is_never_begun() -> None:
    async with build(sequences=1) as llm, aclosing(llm.generate(ask(STORY, max_tokens=24))) as story:
        await anext(story)
        with anyio.move_on_after(0.01):
            await answer_of(llm, capital("France"))
        async for _ in story:
            pass
        assert "Madrid" in (await answer_of(llm, capital("Spain"))).text
        assert all(slot.conversation != "France" for slot in llm.engine.slots)


async def test_a_prompt_that_does_not_fit_is_refused_with_both_numbers(llm: LlamaCppLLM) -> None:
    with pytest.raises(ContextTooLong, match=r"5\d\d tokens.* 512 .*context_tokens"):
        await answer_of(llm, ask("word " * 500, max_tokens=1))


async def test_an_answer_ends_where_the_context_does() -> None:
    async with build(context_tokens=128) as llm:
        answer = await answer_of(llm, ask(STORY, max_tokens=400))
    assert answer.finish.reason == "length"
    assert answer.finish.usage is not None
    assert answer.finish.usage.prompt_tokens + answer.finish.usage.completion_tokens == 128


async def test_the_finish_names_model_and_provider(llm: LlamaCppLLM) -> None:
    finish = (await answer_of(llm, capital("France"))).finish
    assert (finish.model, finish.provider, finish.reason) == ("smollm2-135m-instruct", "llama_cpp", "stop")


async def test_a_seed_makes_a_varied_answer_repeatable() -> None:
    texts = []
    for seed in (1, 1, 2):
        async with build(seed=seed, temperature=1.5) as llm:
            texts.append((await answer_of(llm, ask(STORY, max_tokens=16))).text)
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]


async def test_offered_tools_are_left_aside_and_the_log_says_so_once(
    llm: LlamaCppLLM, caplog: pytest.LogCaptureFixture
) -> None:
    request = replace(capital("France"), tools=(ToolSpec("clock", "Tells the time."),))
    for _ in range(2):
        assert "Paris" in (await answer_of(llm, request)).text
    assert [record.levelname for record in caplog.records if "tools" in record.message] == ["WARNING"]


async def test_a_failed_step_ends_its_chats_and_the_model_goes_on(
    llm: LlamaCppLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jackfield_llm_llama_cpp.context import DecodingContext, Outcome

    with monkeypatch.context() as broken:
        broken.setattr(DecodingContext, "decode", lambda _context: Outcome.FAILED)
        with pytest.raises(ProviderUnavailable):
            await answer_of(llm, capital("France"))
    assert "Paris" in (await answer_of(llm, capital("France"))).text


async def test_an_error_inside_a_step_leaves_nobody_waiting(
    llm: LlamaCppLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jackfield_llm_llama_cpp.sampler import Sampler

    def fail(_sampler: Sampler, _context: object, _row: int) -> int:
        raise OSError("broken")

    with monkeypatch.context() as broken:
        broken.setattr(Sampler, "sample", fail)
        with pytest.raises(ProviderUnavailable):
            await answer_of(llm, capital("France"))
    assert "Paris" in (await answer_of(llm, capital("France"))).text


async def test_unloading_ends_a_running_answer_and_the_thread() -> None:
    before = set(threading.enumerate())
    async with build() as llm:
        story = llm.generate(ask(STORY, max_tokens=400))
        await anext(story)
    with pytest.raises(ProviderUnavailable, match="unloaded"):
        async for _ in story:
            pass
    left = [thread.name for thread in set(threading.enumerate()) - before]
    assert not [name for name in left if name.startswith("jackfield")]


async def test_it_can_be_left_twice_and_entered_again() -> None:
    llm = build()
    async with llm:
        pass
    await llm.__aexit__(None, None, None)
    async with llm:
        assert "Paris" in (await answer_of(llm, capital("France"))).text


async def test_it_says_when_it_was_not_entered() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await answer_of(build(), capital("France"))


async def test_a_file_that_is_gone_is_named_with_its_option(tmp_path: Path) -> None:
    path = tmp_path / "gone.gguf"
    path.touch()
    llm = build(model=str(path))
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"option `model`.*gone\.gguf"):
        await llm.__aenter__()


async def test_a_file_that_is_no_model_is_named_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF" + b"\x00" * 100)
    with pytest.raises(ProviderUnavailable, match=r"cannot load broken\.gguf.*option `model`"):
        await build(model=str(path)).__aenter__()


async def test_more_context_than_the_model_is_made_for_is_refused() -> None:
    with pytest.raises(ProviderUnavailable, match=r"context_tokens` is 9000.*8192"):
        await build(context_tokens=9000).__aenter__()


async def test_nothing_of_the_library_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    async with build() as llm:
        await answer_of(llm, capital("France"))
    assert capfd.readouterr() == ("", "")


def test_every_sequence_must_have_a_token_in_a_step() -> None:
    with pytest.raises(ValidationError, match="raise batch_tokens or lower sequences"):
        LlamaCppOptions(sequences=8, batch_tokens=4)


def test_a_path_is_reported_without_its_folders() -> None:
    assert LlamaCppOptions(model="/home/anna/models/tiny.gguf").model_name == "tiny.gguf"


def test_the_plugin_describes_itself_without_its_sdk() -> None:
    program = (
        "import sys, jackfield_llm_llama_cpp as plugin; info = plugin.plugin_info();"
        "info.capabilities(info.options()); assert 'llama_cpp' not in sys.modules; print(info.extra)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "jackfield[llama-cpp]"
