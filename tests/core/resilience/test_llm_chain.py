"""Language models that stand for each other, on a clock that waits for nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from jackfield.contracts.failover import Failover
from jackfield.contracts.llm import Finish, GenerationRequest, LLMOutput, Message, TokenCounter, ToolCall
from jackfield.errors import (
    ContentFiltered,
    ContextTooLong,
    ProviderBadReply,
    ProviderError,
    ProviderRateLimited,
    ProviderRefused,
    ProviderUnauthorized,
    ProviderUnavailable,
)
from jackfield.plugin import Capabilities
from jackfield.resilience.chains import Chains
from jackfield.resilience.guard import Patience, guard
from jackfield.testing.virtual_clock import VirtualClock
from tests.core.resilience.chained import Witness

pytestmark = pytest.mark.anyio

REQUEST = GenerationRequest((Message("user", "Hello"),), failover=Failover(8))
END = Finish("stop", model="m", provider="p")
HANGS = 1e6
Step = float | LLMOutput | Exception | object


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


@pytest.fixture
def witness() -> Witness:
    return Witness()


@dataclass
class Model:
    """Follows a script: waits numbers, raises errors, says the rest."""

    script: Sequence[Step] = ("fine", END)
    asked: list[float] = field(default_factory=list)
    open: int = 0

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        self.asked.append(anyio.current_time())
        self.open += 1
        try:
            for step in self.script:
                if isinstance(step, float):
                    await anyio.sleep(step)
                elif isinstance(step, Exception):
                    raise step
                else:
                    yield step  # type: ignore[misc]  # some say what they must not
        finally:
            self.open -= 1


class Counting(Model):
    def count_tokens(self, text: str) -> int:
        return 42


class Probing(Model):
    """Heals at a time of its own."""

    heals_s: float = 0.0
    probes: int = 0

    async def probe(self) -> None:
        self.probes += 1
        if anyio.current_time() < self.heals_s:
            raise ProviderUnavailable("not yet")


async def said(chain: Any, request: GenerationRequest = REQUEST) -> list[LLMOutput]:
    async with aclosing(chain.generate(request)) as outputs:
        return [output async for output in outputs]


def timers() -> int:
    scheduled: list[asyncio.TimerHandle] = vars(asyncio.get_running_loop())["_scheduled"]
    return sum(not handle.cancelled() for handle in scheduled)


# Who answers.


async def test_the_first_answers_while_it_works(witness: Witness) -> None:
    first, second = Model(["a ", "b", END]), Model()
    assert await said(witness.join("llm", first, second)) == ["a ", "b", END]
    assert second.asked == []
    assert witness.events == []


@pytest.mark.parametrize(
    "trouble",
    [
        ProviderUnavailable("gone"),
        ProviderRateLimited("busy"),
        ProviderUnauthorized("no"),
        ProviderBadReply("what"),
        KeyError("a fault of the plugin"),
        b"no text",
        None,
    ],
    ids=repr,
)
async def test_the_second_takes_over_from_one_that_fails(witness: Witness, trouble: Step) -> None:
    first, second = Model([trouble]), Model(["fine", END])
    assert await said(witness.join("llm", first, second)) == ["fine", END]
    assert witness.taken_over == [("llm", "second")]
    assert witness.is_open("first")
    assert first.open == second.open == 0


@pytest.mark.parametrize("script", [[HANGS], ["", " ", HANGS, "late"], ["", HANGS]], ids=repr)
async def test_one_that_says_nothing_of_use_in_time_is_left(witness: Witness, script: list[Step]) -> None:
    first, second = Model(script), Model()
    began_s = anyio.current_time()
    assert await said(witness.join("llm", first, second)) == ["fine", END]
    assert second.asked == [pytest.approx(began_s + 8)]
    assert first.open == 0
    assert witness.failed == [("first", "ProviderTimedOut")]


async def test_blanks_of_a_model_that_is_left_are_never_seen(witness: Witness) -> None:
    chain = witness.join("llm", Model(["\n", " ", ProviderUnavailable("cut")]), Model(["fine", END]))
    assert await said(chain) == ["fine", END]


async def test_blanks_before_the_answer_are_kept(witness: Witness) -> None:
    assert await said(witness.join("llm", Model(["", "\n", "a", END]), Model())) == ["", "\n", "a", END]


@pytest.mark.parametrize("script", [[], ["", END], [Finish("tool_calls")]], ids=repr)
async def test_an_empty_answer_is_no_answer(witness: Witness, script: list[Step]) -> None:
    assert await said(witness.join("llm", Model(script), Model())) == ["fine", END]


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_an_answer_that_is_empty_for_a_reason_stands(witness: Witness, reason: Any) -> None:
    second = Model()
    assert await said(witness.join("llm", Model([Finish(reason)]), second)) == [Finish(reason)]
    assert second.asked == []


async def test_nothing_more_to_say_after_a_tool_is_an_answer(witness: Witness) -> None:
    messages = (Message("user", "Hi"), Message("tool", "done", tool_call_id="1"))
    assert await said(witness.join("llm", Model([END]), Model()), GenerationRequest(messages)) == [END]


@pytest.mark.parametrize("error", [ContentFiltered("x"), ContextTooLong("x"), ProviderRefused("x")])
async def test_a_request_that_is_not_acceptable_concerns_no_other(witness: Witness, error: Exception) -> None:
    second = Model()
    with pytest.raises(type(error)):
        await said(witness.join("llm", Model([error]), second))
    assert second.asked == []
    assert not witness.is_open("first")


@pytest.mark.parametrize("useful", ["word", ToolCall("1", "look", "{}")], ids=["text", "tool call"])
async def test_nobody_takes_over_after_useful_output(witness: Witness, useful: LLMOutput) -> None:
    second = Model()
    found: list[LLMOutput] = []
    chain = witness.join("llm", Model([useful, ProviderUnavailable("cut")]), second)
    async with aclosing(chain.generate(REQUEST)) as outputs:
        found.append(await anext(outputs))
        with pytest.raises(ProviderUnavailable):
            await anext(outputs)
    assert found == [useful]
    assert second.asked == []
    assert witness.is_open("first")


async def test_the_third_takes_over_from_the_second(witness: Witness) -> None:
    chain = witness.join("llm", Model([HANGS]), Model([ProviderUnavailable("gone")]), Model())
    assert await said(chain) == ["fine", END]
    assert witness.taken_over == [("llm", "second"), ("llm.fallback.1", "third")]


async def test_the_last_has_all_the_time_there_is(witness: Witness) -> None:
    assert await said(witness.join("llm", Model([HANGS]), Model([100.0, "late", END]))) == ["late", END]


async def test_the_error_of_the_last_is_the_chains(witness: Witness) -> None:
    chain = witness.join("llm", Model([ProviderUnavailable("1")]), Model([ProviderUnauthorized("2")]))
    with pytest.raises(ProviderUnauthorized):
        await said(chain)
    assert witness.failed == [("first", "ProviderUnavailable"), ("second", "ProviderUnauthorized")]


async def test_the_request_says_how_long_a_member_is_waited_for(witness: Witness) -> None:
    left: list[float] = []
    plan = Failover(3, lambda: left.append(anyio.current_time()))
    began_s = anyio.current_time()
    await said(witness.join("llm", Model([HANGS]), Model()), GenerationRequest((), failover=plan))
    assert left == [pytest.approx(began_s + 3)]


async def test_a_request_that_says_nothing_waits_as_the_file_says(witness: Witness) -> None:
    second = Model()
    began_s = anyio.current_time()
    await said(witness.join("llm", Model([HANGS]), second), GenerationRequest(()))
    assert second.asked == [pytest.approx(began_s + 8)]


# Cooling down.


async def test_one_that_failed_is_skipped_and_then_tried_by_one_request(witness: Witness) -> None:
    first, second = Model([ProviderUnavailable("gone")]), Model()
    chain = witness.join("llm", first, second)
    await said(chain)
    await said(chain)
    assert len(first.asked) == 1
    await anyio.sleep(5)
    first.script = [0.5, "back", END]
    answers: list[LLMOutput] = []

    async def ask() -> None:
        answers.append((await said(chain))[0])

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(ask)
    assert sorted(map(str, answers)) == ["back", *["fine"] * 9]
    assert not witness.is_open("first")
    assert (await said(chain))[0] == "back"


async def test_a_request_is_never_at_two_members_at_once(witness: Witness) -> None:
    first, second = Model([7.0, "", HANGS]), Model([1.0, "fine", END])
    chain = witness.join("llm", first, second)
    most = 0

    async def look() -> None:
        nonlocal most
        while True:
            most = max(most, first.open + second.open)
            await anyio.sleep(0.05)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look)
        await said(chain)
        tasks.cancel_scope.cancel()
    assert most == 1


async def test_when_all_cool_down_they_are_tried_in_the_order_of_their_turns(witness: Witness) -> None:
    first, second = Model([ProviderUnauthorized("no")]), Model([ProviderUnavailable("gone")])
    chain = witness.join("llm", first, second)
    with pytest.raises(ProviderUnavailable):
        await said(chain)
    second.script = ["back", END]
    assert await said(chain) == ["back", END]  # its turn comes first
    assert len(first.asked) == 1


async def test_one_that_is_slow_is_better_than_one_that_failed() -> None:
    first, second = Model([HANGS]), Model([20.0, "slow", END])
    chain = Witness(Chains(cooldown_s=100)).join("llm", first, second)
    await said(chain)
    assert await said(chain) == ["slow", END]
    assert len(first.asked) == 1


async def test_a_chain_whose_members_all_failed_is_repeated_by_the_core(witness: Witness) -> None:
    first, second = Model([ProviderUnavailable("1")]), Model([ProviderUnavailable("2")])
    chain = witness.join("llm", first, second)

    def start() -> AsyncGenerator[LLMOutput, None]:
        if len(first.asked) == 1:
            first.script = ["back", END]
        outputs: AsyncGenerator[LLMOutput, None] = chain.generate(REQUEST)
        return outputs

    async with aclosing(
        guard(start, first_s=30, patience=Patience(60), useful=lambda output: isinstance(output, str))
    ) as outputs:
        assert [output async for output in outputs] == ["back", END]
    assert len(second.asked) == 1


async def test_a_member_that_fell_silent_in_its_answer_is_avoided_by_the_next_request(
    witness: Witness,
) -> None:
    first, second = Model(["a", 100.0, "b", END]), Model()
    chain = witness.join("llm", first, second)
    async with aclosing(chain.generate(REQUEST)) as outputs:
        assert await anext(outputs) == "a"
        with anyio.move_on_after(17):
            await anext(outputs)
    assert witness.failed == [("first", "ProviderTimedOut")]
    assert (await said(chain))[0] == "fine"


async def test_an_answer_that_pauses_goes_on_and_closes_the_circuit(witness: Witness) -> None:
    chain = witness.join("llm", Model(["a", 100.0, "b", END]), Model())
    assert await said(chain) == ["a", "b", END]
    assert not witness.is_open("first")


async def test_a_slow_reader_is_not_held_against_the_member(witness: Witness) -> None:
    chain = witness.join("llm", Model(["a", "b", END]), Model())
    async with aclosing(chain.generate(REQUEST)) as outputs:
        async for _ in outputs:
            await anyio.sleep(1000)
    assert witness.failed == []


async def test_a_request_that_is_given_up_soon_decides_nothing(witness: Witness) -> None:
    chain = witness.join("llm", Model([HANGS]), Model())
    with anyio.move_on_after(5) as scope:
        await said(chain)
    assert scope.cancelled_caught
    assert not witness.is_open("first")
    assert timers() == 0


async def test_a_last_member_that_hangs_until_the_request_is_given_up_is_blamed(witness: Witness) -> None:
    chain = witness.join("llm", Model([ProviderUnavailable("gone")]), Model([HANGS]))
    with anyio.move_on_after(20):
        await said(chain)
    assert witness.is_open("second")


async def test_state_belongs_to_the_provider_whichever_chain_it_stands_in(witness: Witness) -> None:
    shared, other = Model([ProviderUnavailable("gone")]), Model()
    await said(witness.join("llm", shared, other))
    await said(witness.join("llm", shared, other))
    assert len(shared.asked) == 1


async def test_one_that_can_be_probed_heals_without_a_users_request(witness: Witness) -> None:
    first, second = Probing([ProviderUnavailable("gone")]), Model()
    first.heals_s = anyio.current_time() + 100
    chain = witness.join("llm", first, second)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(witness.chains.run)
        await said(chain)
        first.script = ["back", END]
        await anyio.sleep(90)
        assert (await said(chain))[0] == "fine"
        await anyio.sleep(100)
        assert (await said(chain))[0] == "back"
        tasks.cancel_scope.cancel()
    assert first.probes == 5  # after 5, 15, 35, 75 and 155 seconds
    assert len(first.asked) == 2


async def test_a_probe_that_is_refused_was_answered(witness: Witness) -> None:
    """Models that reason refuse an answer of one token, and work."""

    class Choosy(Model):
        async def probe(self) -> None:
            raise ProviderRefused("an answer of one token is too short")

    first, second = Choosy([ProviderUnavailable("gone")]), Model()
    chain = witness.join("llm", first, second)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(witness.chains.run)
        await said(chain)
        first.script = ["back", END]
        await anyio.sleep(6)
        assert (await said(chain))[0] == "back"
        tasks.cancel_scope.cancel()


# What it is like.


async def test_warming_is_for_the_first_alone(witness: Witness) -> None:
    first, second = Model([ProviderUnavailable("gone")]), Model()
    chain = witness.join("llm", first, second)
    with pytest.raises(ProviderUnavailable):
        await said(chain, GenerationRequest((), warming=True))
    assert await said(chain, GenerationRequest((), warming=True)) == []
    assert second.asked == []


async def test_tokens_are_counted_by_the_member_with_the_least_room(witness: Witness) -> None:
    big, small = Model(), Counting()
    chain = witness.join(
        "llm", big, small, can=[Capabilities(context_tokens=9), Capabilities(context_tokens=5)]
    )
    assert isinstance(chain, TokenCounter)
    assert chain.count_tokens("a") == 42


def test_a_chain_of_models_that_cannot_count_does_not_claim_to(witness: Witness) -> None:
    assert not isinstance(witness.join("llm", Model(), Model()), TokenCounter)


@pytest.mark.parametrize("script", [["a", END], [ProviderUnavailable("x")], [HANGS], [KeyError()]], ids=repr)
async def test_no_timer_and_no_generation_is_left_behind(witness: Witness, script: list[Step]) -> None:
    first, second = Model(script), Model(script)
    with suppress(ProviderError, KeyError), anyio.move_on_after(50):
        await said(witness.join("llm", first, second))
    assert timers() == 0
    assert first.open == second.open == 0


async def test_take_overs_are_counted_by_section_and_error(witness: Witness) -> None:
    await said(witness.join("llm", Model([ProviderRateLimited("busy")]), Model()))
    values = witness.figures.named["jackfield_failovers_total"].values
    assert values == {("llm", "ProviderRateLimited"): 1}
