"""The language model suite fails on models that break a promise."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import AsyncGenerator, Callable
from functools import partial

import anyio
import anyio.to_thread
import pytest

from jackfield.contracts.llm import Finish, GenerationRequest, LLMOutput
from jackfield.plugin import Capabilities
from jackfield.testing import FakeLLM, LLMSuite

pytestmark = pytest.mark.anyio

FINISH = Finish("stop")


class Suite(LLMSuite):
    """The suite, called test by test."""

    __test__ = False
    capabilities = Capabilities(max_concurrency=1)


suite = Suite()


class Broken:
    """A model whose generations are those of one function."""

    def __init__(self, generate: Callable[[GenerationRequest], AsyncGenerator[LLMOutput, None]]) -> None:
        self.generate = generate


@pytest.mark.parametrize(
    "outputs",
    [
        ("one ", FINISH, FINISH),
        ("one ", FINISH, "two"),
        ("one ",),
        (FINISH,),
        ("one ", 2, FINISH),
    ],
    ids=["two_finishes", "text_after_the_finish", "no_finish", "no_text", "not_an_output"],
)
async def test_wrong_outputs_are_found(outputs: tuple[LLMOutput, ...]) -> None:
    with pytest.raises(AssertionError):
        await suite.test_text_comes_in_pieces_and_one_finish_comes_last(FakeLLM(outputs))


async def test_a_bound_on_tokens_that_is_ignored_is_found() -> None:
    with pytest.raises(AssertionError):
        await suite.test_max_tokens_bounds_the_answer(FakeLLM(("one ", "two ", "three", FINISH)))


async def test_a_stop_text_that_is_ignored_is_found() -> None:
    with pytest.raises(AssertionError):
        await suite.test_a_stop_text_ends_the_answer_and_is_not_part_of_it(FakeLLM(("one two three", FINISH)))


async def test_an_error_that_is_not_mapped_is_found() -> None:
    llm = FakeLLM((), error=lambda: ValueError("from the depths of an SDK"))
    with pytest.raises(ValueError, match="SDK"):
        await suite.test_odd_text_is_answered_or_refused_with_a_provider_error(llm, "")


async def test_mixing_what_several_users_said_is_found() -> None:
    said: list[str] = []

    async def generate(request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        said.append(request.messages[-1].content)
        await anyio.sleep(0.01)
        yield said[-1]
        yield FINISH

    with pytest.raises(AssertionError):
        await suite.test_two_at_once_do_not_mix(Broken(generate))


async def test_a_model_that_waits_to_the_end_when_cancelled_is_found() -> None:
    async def generate(request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        for _ in range(10):
            yield "word "
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.3)
        yield FINISH

    with pytest.raises(AssertionError, match="after cancelling"):
        await suite.test_cancelled_halfway_the_caller_has_control_at_once(Broken(generate))


async def test_a_model_that_blocks_the_event_loop_is_found() -> None:
    async def generate(request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        time.sleep(0.2)
        yield "word "
        yield FINISH

    with pytest.raises(AssertionError, match="after cancelling"):
        await suite.test_cancelled_before_the_first_piece_the_caller_has_control_at_once(Broken(generate))


async def test_a_model_that_takes_long_to_close_is_found() -> None:
    async def generate(request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        try:
            yield "word "
            yield FINISH
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.2)

    with pytest.raises(AssertionError):
        await suite.test_closed_halfway_nothing_more_is_delivered(Broken(generate))


async def test_a_computation_that_goes_on_in_its_thread_is_found() -> None:
    stop = threading.Event()
    block = bytes(1 << 20)

    def compute() -> None:
        while not stop.is_set():
            hashlib.sha256(block)

    async def generate(request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        yield "word "
        async with anyio.create_task_group() as tasks:  # on a busy machine one alone may look idle
            for _ in range(4):
                tasks.start_soon(partial(anyio.to_thread.run_sync, compute, abandon_on_cancel=True))
        yield FINISH

    try:
        with pytest.raises(AssertionError, match="of a core"):
            await suite.test_the_cancelled_computation_stops(Broken(generate))
    finally:
        stop.set()


async def test_a_place_that_cancelled_work_still_holds_is_found() -> None:
    place = anyio.CapacityLimiter(1)

    async def generate(request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        borrower = object()
        await place.acquire_on_behalf_of(borrower)
        try:
            yield "word "
            await anyio.sleep_forever()
        finally:
            work.start_soon(leave, borrower, 1.0 if request.max_tokens is None else 0.0)

    async def leave(borrower: object, linger_s: float) -> None:
        await anyio.sleep(linger_s)
        place.release_on_behalf_of(borrower)

    async with anyio.create_task_group() as work:
        with pytest.raises(AssertionError, match="still held its place"):
            await suite.test_cancelled_generations_give_their_places_back(Broken(generate))
        work.cancel_scope.cancel()
