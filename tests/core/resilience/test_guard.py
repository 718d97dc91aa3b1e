"""Time limits and repetitions round a provider's stream, on a clock that waits for nobody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from jackfield.errors import (
    ProviderBadReply,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimedOut,
    ProviderUnavailable,
)
from jackfield.resilience.guard import Patience, guard, in_time
from jackfield.testing.virtual_clock import VirtualClock

pytestmark = pytest.mark.anyio

Step = float | str | Exception | type[Exception]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


@dataclass
class Provider:
    """Follows a script: waits numbers, yields texts, raises errors. One script an attempt."""

    scripts: Sequence[Sequence[Step]]
    attempts: list[float] = field(default_factory=list)
    closed: int = 0

    async def start(self) -> AsyncGenerator[str, None]:
        script = self.scripts[len(self.attempts)]
        self.attempts.append(anyio.current_time())
        try:
            for step in script:
                if isinstance(step, float):
                    await anyio.sleep(step)
                elif isinstance(step, str):
                    yield step
                else:
                    raise step
        finally:
            self.closed += 1


def provider(*scripts: Sequence[Step]) -> Provider:
    return Provider(scripts)


def guarded(
    start: Callable[[], AsyncGenerator[str, None]],
    *,
    first_s: float = 30,
    total_s: float = 60,
    patience: Patience | None = None,
) -> AsyncGenerator[str, None]:
    return guard(
        start,
        first_s=first_s,
        patience=patience or Patience(total_s),
        useful=lambda output: bool(output.strip()),
    )


async def outputs(of: Provider, *, pause_s: float = 0, first_s: float = 30, total_s: float = 60) -> list[str]:
    found = []
    async with aclosing(guarded(of.start, first_s=first_s, total_s=total_s)) as stream:
        async for output in stream:
            found.append(output)
            if pause_s:
                await anyio.sleep(pause_s)
    return found


def live_timers() -> int:
    scheduled: list[asyncio.TimerHandle] = vars(asyncio.get_running_loop())["_scheduled"]
    return sum(not handle.cancelled() for handle in scheduled)


# Time limits.


async def test_outputs_pass_through() -> None:
    assert await outputs(provider(["a", 1.0, "b", "", "c"])) == ["a", "b", "", "c"]


async def test_a_provider_that_says_nothing_is_left_after_the_first_limit() -> None:
    silent = provider([1000.0, "late"])

    with pytest.raises(ProviderTimedOut):
        await outputs(silent, first_s=30)

    assert anyio.current_time() - silent.attempts[0] == pytest.approx(30)
    assert silent.closed == 1


async def test_outputs_that_are_of_no_use_do_not_count_as_the_first() -> None:
    blank = provider(["", 20.0, " ", 20.0, "a"])

    with pytest.raises(ProviderTimedOut):
        await outputs(blank, first_s=30)

    assert anyio.current_time() - blank.attempts[0] == pytest.approx(30)


async def test_all_waiting_together_is_bounded() -> None:
    slow = provider([20.0, "a", 20.0, "b", 30.0, "c"])

    with pytest.raises(ProviderTimedOut):
        await outputs(slow, first_s=30, total_s=60)

    assert anyio.current_time() - slow.attempts[0] == pytest.approx(60)
    assert slow.closed == 1


async def test_a_stall_in_the_middle_is_bounded_by_what_is_left() -> None:
    stalled = provider([10.0, "a", 1000.0])

    with pytest.raises(ProviderTimedOut):
        await outputs(stalled, first_s=30, total_s=60)

    assert anyio.current_time() - stalled.attempts[0] == pytest.approx(60)


async def test_a_first_limit_beyond_the_whole_is_the_whole() -> None:
    silent = provider([1000.0])

    with pytest.raises(ProviderTimedOut):
        await outputs(silent, first_s=90, total_s=60)

    assert anyio.current_time() - silent.attempts[0] == pytest.approx(60)


async def test_a_slow_consumer_does_not_use_up_the_time() -> None:
    assert await outputs(provider([9.0, "a", 9.0, "a", 9.0, "a"]), pause_s=500, first_s=30) == ["a"] * 3


async def test_waiting_that_begins_after_a_long_pause_has_all_the_time_that_was_left() -> None:
    found = await outputs(provider([29.0, "a", 30.0, "b"]), pause_s=31, first_s=30, total_s=60)

    assert found == ["a", "b"]


async def test_patience_is_shared_by_the_requests_of_a_turn() -> None:
    patience = Patience(60)
    async with aclosing(guarded(provider([40.0, "a"]).start, first_s=50, patience=patience)) as first:
        assert [output async for output in first] == ["a"]
    second = provider([30.0, "b"])

    with pytest.raises(ProviderTimedOut):
        async with aclosing(guarded(second.start, first_s=50, patience=patience)) as stream:
            await anext(stream)

    assert anyio.current_time() - second.attempts[0] == pytest.approx(20)


# Repetitions.


async def test_a_failure_that_may_pass_is_repeated_twice_with_growing_pauses() -> None:
    failing = provider([ProviderUnavailable("1")], [" ", ProviderUnavailable("2")], ["a"])

    assert await outputs(failing) == [" ", "a"]
    first, second, third = failing.attempts
    assert second - first == pytest.approx(0.5)
    assert third - second == pytest.approx(1.0)


async def test_the_third_failure_is_the_last() -> None:
    failing = provider(*[[ProviderUnavailable(str(number))] for number in range(4)])

    with pytest.raises(ProviderUnavailable, match="2"):
        await outputs(failing)

    assert len(failing.attempts) == failing.closed == 3


async def test_a_provider_that_asks_to_wait_is_waited_for() -> None:
    limited = provider([ProviderRateLimited("busy", retry_after_s=7)], ["a"])

    assert await outputs(limited) == ["a"]
    assert limited.attempts[1] - limited.attempts[0] == pytest.approx(7)


async def test_a_provider_that_asks_for_too_long_a_wait_is_not_asked_again() -> None:
    limited = provider([ProviderRateLimited("busy", retry_after_s=11)], ["a"])

    with pytest.raises(ProviderRateLimited):
        await outputs(limited)


@pytest.mark.parametrize("error", [ProviderRefused("no"), ProviderBadReply("what"), ProviderTimedOut("late")])
async def test_a_failure_that_does_not_pass_is_not_repeated(error: Exception) -> None:
    failing = provider([error], ["a"])

    with pytest.raises(type(error)):
        await outputs(failing)

    assert len(failing.attempts) == 1


async def test_nothing_is_repeated_after_useful_output() -> None:
    failing = provider(["a", ProviderUnavailable("gone")], ["b"])

    with pytest.raises(ProviderUnavailable):
        await outputs(failing)

    assert len(failing.attempts) == 1


async def test_repetitions_share_the_first_limit() -> None:
    failing = provider([20.0, ProviderUnavailable("1")], [20.0, "a"])

    with pytest.raises(ProviderTimedOut):
        await outputs(failing, first_s=30)

    assert anyio.current_time() - failing.attempts[1] == pytest.approx(10)


async def test_other_exceptions_pass_through() -> None:
    with pytest.raises(KeyError):
        await outputs(provider([KeyError]))


# Cancelling.


async def test_a_cancellation_from_outside_stays_one() -> None:
    slow = provider([1000.0])

    with anyio.move_on_after(10) as scope:
        await outputs(slow, first_s=30)

    assert scope.cancelled_caught
    assert slow.closed == 1
    await anyio.sleep(100)  # the task is as good as new
    assert live_timers() == 0


@pytest.mark.parametrize("outer_s", [29.999, 30.0, 30.001])
async def test_a_limit_and_a_cancellation_at_nearly_the_same_time_are_never_mixed_up(outer_s: float) -> None:
    timed_out = False
    with anyio.move_on_after(outer_s) as scope:
        try:
            await outputs(provider([1000.0]), first_s=30)
        except ProviderTimedOut:
            timed_out = True

    assert timed_out or scope.cancelled_caught
    assert timed_out is (outer_s > 30) or outer_s == 30
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await anyio.sleep(100)


@pytest.mark.parametrize("order", ["limit first", "cancellation first"])
async def test_both_in_one_turn_of_the_loop_end_the_scope_cleanly(order: str) -> None:
    ended = []

    async def consume(scope: anyio.CancelScope) -> None:
        with scope:
            try:
                await outputs(provider([1000.0]), first_s=30)
            except ProviderTimedOut:
                ended.append("limit")
            await anyio.sleep(1)
            ended.append("went on")
        if scope.cancelled_caught:
            ended.append("cancelled")
        await anyio.sleep(1)
        ended.append("alive")

    scope = anyio.CancelScope()
    loop = asyncio.get_running_loop()
    if order == "cancellation first":
        loop.call_later(30, scope.cancel)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(consume, scope)
        await anyio.wait_all_tasks_blocked()
        if order == "limit first":
            loop.call_at(loop.time() + 30, scope.cancel)

    assert ended[-1] == "alive"
    assert "went on" not in ended
    assert "cancelled" in ended


async def test_a_task_cancelled_by_asyncio_itself_is_cancelled() -> None:
    slow = provider([1000.0])

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(10):
            await outputs(slow, first_s=30)

    assert slow.closed == 1


async def test_a_failing_neighbour_ends_the_wait() -> None:
    slow = provider([1000.0])

    async def fail() -> None:
        await anyio.sleep(10)
        raise KeyError

    async def both() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fail)
            await outputs(slow, first_s=30)

    with pytest.raises(ExceptionGroup) as error:
        await both()
    assert error.group_contains(KeyError)
    assert not error.group_contains(ProviderTimedOut)


async def test_a_time_out_in_a_task_group_is_that_error_and_cancels_nobody_else() -> None:
    finished = []

    async def neighbour() -> None:
        await anyio.sleep(100)
        finished.append("neighbour")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(neighbour)
        with pytest.raises(ProviderTimedOut):
            await outputs(provider([1000.0]), first_s=30)

    assert finished == ["neighbour"]


async def test_a_time_out_works_where_an_outer_cancellation_is_shielded() -> None:
    caught = []
    with anyio.move_on_after(1):
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                try:
                    await outputs(provider([1000.0]), first_s=30)
                except ProviderTimedOut:
                    caught.append("in time")

    assert caught == ["in time"]


async def swallows() -> AsyncGenerator[str, None]:
    try:
        await anyio.sleep_forever()
    except BaseException:  # noqa: BLE001  # what it must not do
        yield "sorry"


async def translates() -> AsyncGenerator[str, None]:
    try:
        await anyio.sleep_forever()
        yield "never"
    except BaseException as error:
        raise ProviderUnavailable("connection lost") from error


async def gives_up() -> AsyncGenerator[str, None]:
    try:
        await anyio.sleep_forever()
        yield "never"
    except BaseException:  # noqa: BLE001
        return


@pytest.mark.parametrize("rude", [swallows, translates, gives_up])
async def test_a_provider_that_hides_its_cancellation_has_timed_out_all_the_same(
    rude: Callable[[], AsyncGenerator[str, None]],
) -> None:
    with anyio.CancelScope() as scope:
        with pytest.raises(ProviderTimedOut):
            async with aclosing(guarded(rude)) as stream:
                await anext(stream)
        await anyio.sleep(100)

    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    assert not scope.cancelled_caught


async def test_a_cancellation_that_the_provider_swallowed_is_delivered_when_the_time_is_over() -> None:
    async def deaf() -> AsyncGenerator[str, None]:
        with suppress(BaseException):
            await anyio.sleep_forever()
        await anyio.sleep_forever()
        yield "never"

    began_s = anyio.current_time()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(10):
            await anext(guarded(deaf, first_s=30))

    assert anyio.current_time() - began_s == pytest.approx(30)


async def test_a_provider_that_swallows_every_cancellation_has_timed_out() -> None:
    async def deaf() -> AsyncGenerator[str, None]:
        for _ in range(2):
            with suppress(BaseException):
                await anyio.sleep_forever()
        yield "too late"

    async with asyncio.timeout(10):
        with pytest.raises(ProviderTimedOut):
            await anext(guarded(deaf, first_s=30))


async def test_another_task_may_go_on_with_the_stream() -> None:
    stream = guarded(provider(["a", 1000.0]).start, first_s=30, total_s=60)
    async with aclosing(stream), anyio.create_task_group() as tasks:
        tasks.start_soon(anext, stream)
        await anyio.wait_all_tasks_blocked()
        began_s = anyio.current_time()
        with pytest.raises(ProviderTimedOut):
            await anext(stream)
        assert anyio.current_time() - began_s == pytest.approx(60)


async def test_closing_half_way_closes_the_provider_and_leaves_no_timer() -> None:
    steady = provider(["a", "b"])
    async with aclosing(guarded(steady.start)) as stream:
        assert await anext(stream) == "a"

    assert steady.closed == 1
    assert live_timers() == 0


@pytest.mark.parametrize("script", [["a"], [KeyError], [1000.0]])
async def test_no_timer_is_left_behind(script: list[Step]) -> None:
    with suppress(KeyError, ProviderTimedOut):
        await outputs(provider(script))

    assert live_timers() == 0
    assert len(asyncio.all_tasks()) <= 2  # the test's own, and the plugin's


# A single answer.


async def after(delay_s: float) -> str:
    await anyio.sleep(delay_s)
    return "answer"


async def test_an_answer_in_time_is_given_and_leaves_no_timer() -> None:
    assert await in_time(after(29), 30) == "answer"
    assert live_timers() == 0


async def test_an_answer_that_takes_too_long_is_cancelled() -> None:
    began_s = anyio.current_time()
    with pytest.raises(ProviderTimedOut):
        await in_time(after(31), 30)

    assert anyio.current_time() - began_s == pytest.approx(30)
    await anyio.sleep(100)  # the task is as good as new
    assert live_timers() == 0


async def test_a_cancellation_while_an_answer_is_awaited_stays_one() -> None:
    with anyio.move_on_after(10) as scope:
        await in_time(after(31), 30)

    assert scope.cancelled_caught


async def test_an_error_instead_of_an_answer_passes_through() -> None:
    async def fail() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        await in_time(fail(), 30)

    assert live_timers() == 0


# The loop that serves.


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_limits_hold_on_every_loop(loop: str) -> None:
    async def silent() -> AsyncGenerator[str, None]:
        await anyio.sleep_forever()
        yield ""

    async def run() -> str:
        with anyio.fail_after(5):
            with anyio.move_on_after(0.02) as scope:
                await anext(guarded(silent, first_s=3))
            assert scope.cancelled_caught
            try:
                await anext(guarded(silent, first_s=0.02))
            except ProviderTimedOut:
                await anyio.sleep(0)
                return "timed out"
        return ""

    options = {"use_uvloop": True} if loop == "uvloop" else {}
    began_s = time.monotonic()

    assert anyio.run(run, backend_options=options) == "timed out"
    assert time.monotonic() - began_s < 2
