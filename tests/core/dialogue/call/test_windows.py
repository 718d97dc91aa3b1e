"""One detector for all calls."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
import pytest

from jackfield.dialogue.call.windows import SpeechWindows, WindowsHandle
from jackfield.errors import ProviderBadReply, ProviderError, ProviderTimedOut, ProviderUnavailable
from jackfield.testing import VirtualClock
from tests.core.dialogue.call.detectors import LevelBatchVAD, LevelVAD, window

pytestmark = pytest.mark.anyio

TICK_S: Final = 0.016


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


@dataclass
class Caller:
    """A call, as far as the detector knows it."""

    windows: SpeechWindows
    verdicts: list[tuple[float, float]] = field(default_factory=list)
    errors: list[ProviderError] = field(default_factory=list)
    then: Callable[[], object] = bool
    """What the call does when it is told."""

    def __post_init__(self) -> None:
        self.handle: WindowsHandle = self.windows.register(self.judged, self.failed)

    def judged(self, probability: float, at_s: float) -> None:
        self.verdicts.append((probability, at_s))
        self.then()

    def failed(self, error: ProviderError, at_s: float) -> None:
        self.errors.append(error)


def callers(vad: LevelVAD, count: int) -> list[Caller]:
    windows = SpeechWindows(vad, collect_from=8, tick_s=TICK_S)
    return [Caller(windows) for _ in range(count)]


async def test_a_window_of_one_of_few_calls_is_judged_at_once() -> None:
    caller, *_ = callers(LevelBatchVAD(), 7)
    caller.handle.feed(window(0.5), 1.0)
    assert caller.verdicts == [(0.5, 1.0)]


async def test_windows_of_many_calls_are_judged_together_within_a_tick() -> None:
    vad = LevelBatchVAD()
    calls = callers(vad, 8)
    for number, caller in enumerate(calls):
        caller.handle.feed(window(number / 10), float(number))
    assert not any(caller.verdicts for caller in calls)
    await anyio.sleep(TICK_S)
    assert [caller.verdicts for caller in calls] == [[(n / 10, float(n))] for n in range(8)]
    assert vad.batches == [8]


async def test_a_detector_that_looks_at_one_speaker_at_a_time_does_so_at_once() -> None:
    calls = callers(LevelVAD(), 20)
    calls[3].handle.feed(window(0.5), 1.0)
    assert calls[3].verdicts == [(0.5, 1.0)]


async def test_a_call_has_one_window_in_a_batch_and_its_order_is_kept() -> None:
    vad = LevelBatchVAD()
    calls = callers(vad, 8)
    for at in range(3):
        calls[0].handle.feed(window(at / 10), at)
    calls[1].handle.feed(window(0.9), 0.0)
    await anyio.sleep(2 * TICK_S)
    assert vad.batches == [2, 1, 1]
    assert calls[0].verdicts == [(0.0, 0), (0.1, 1), (0.2, 2)]


async def test_very_many_windows_are_judged_in_several_steps() -> None:
    vad = LevelBatchVAD()
    calls = callers(vad, 70)
    for caller in calls:
        caller.handle.feed(window(0.5), 1.0)
    await anyio.sleep(2 * TICK_S)
    assert vad.batches == [32, 32, 6]
    assert all(len(caller.verdicts) == 1 for caller in calls)


async def test_a_window_that_waits_is_not_overtaken_when_calls_have_become_few() -> None:
    first, *others = callers(LevelBatchVAD(), 8)
    first.handle.feed(window(0.1), 1.0)
    others[0].handle.close()
    first.handle.feed(window(0.2), 2.0)
    assert first.verdicts == []
    await anyio.sleep(2 * TICK_S)
    first.handle.feed(window(0.3), 3.0)
    assert first.verdicts == [(0.1, 1.0), (0.2, 2.0), (0.3, 3.0)]


async def test_a_closed_call_hears_nothing_more() -> None:
    first, second, *_ = callers(LevelBatchVAD(), 9)
    first.handle.feed(window(0.5), 1.0)
    second.handle.feed(window(0.5), 1.0)
    first.handle.close()
    first.handle.close()
    first.handle.feed(window(0.5), 2.0)
    await anyio.sleep(2 * TICK_S)
    assert first.verdicts == []
    assert second.verdicts == [(0.5, 1.0)]


async def test_a_call_may_be_closed_by_what_another_one_does_when_it_is_told() -> None:
    first, second, *_ = callers(LevelBatchVAD(), 8)
    first.handle.feed(window(0.5), 1.0)
    second.handle.feed(window(0.5), 1.0)
    first.then = second.handle.close
    await anyio.sleep(2 * TICK_S)
    assert first.verdicts == [(0.5, 1.0)]
    assert second.verdicts == []


async def test_nothing_is_left_to_do_after_the_last_call() -> None:
    vad = LevelBatchVAD()
    calls = callers(vad, 8)
    for caller in calls:
        caller.handle.feed(window(0.5), 1.0)
    for caller in calls:
        caller.handle.close()
    await anyio.sleep(2 * TICK_S)
    assert vad.batches == []


async def test_new_calls_are_heard_after_all_others_have_gone() -> None:
    calls = callers(LevelBatchVAD(), 8)
    calls[0].handle.feed(window(0.5), 1.0)
    for caller in calls:
        caller.handle.close()
    again = [Caller(calls[0].windows) for _ in range(8)]
    again[0].handle.feed(window(0.5), 1.0)
    await anyio.sleep(TICK_S)
    assert again[0].verdicts == [(0.5, 1.0)]


def crash() -> float:
    raise ZeroDivisionError("what was said")


def time_out() -> float:
    raise ProviderTimedOut("too slow")


@pytest.mark.parametrize("count", [1, 8])
@pytest.mark.parametrize(
    ("broken", "kind"),
    [
        (crash, ProviderUnavailable),
        (time_out, ProviderTimedOut),
        (lambda: 1.5, ProviderBadReply),
        (lambda: math.nan, ProviderBadReply),
    ],
)
async def test_calls_are_told_that_the_detector_failed_and_are_heard_afterwards(
    broken: Callable[[], float], kind: type[ProviderError], count: int
) -> None:
    vad = LevelBatchVAD()
    caller, *_ = callers(vad, count)
    vad.broken = broken
    caller.handle.feed(window(0.5), 1.0)
    await anyio.sleep(2 * TICK_S)
    assert [type(error) for error in caller.errors] == [kind]
    vad.broken = None
    caller.handle.feed(window(0.5), 2.0)
    await anyio.sleep(2 * TICK_S)
    assert caller.verdicts == [(0.5, 2.0)]


async def test_a_failure_concerns_the_calls_that_were_due_alone() -> None:
    vad = LevelBatchVAD()
    first, second, *_ = callers(vad, 8)
    vad.broken = time_out
    first.handle.feed(window(0.5), 1.0)
    await anyio.sleep(TICK_S)
    assert len(first.errors) == 1
    assert second.errors == []


async def test_a_stream_that_failed_is_used_no_longer() -> None:
    vad = LevelBatchVAD()
    (caller,) = callers(vad, 1)
    vad.broken = crash
    caller.handle.feed(window(0.5), 1.0)
    vad.broken = None
    caller.handle.feed(window(0.25), 2.0)
    assert [stream.fed for stream in vad.streams] == [[window(0.5)], [window(0.25)]]


async def test_a_detector_that_leaves_answers_out_failed() -> None:
    first, second, *_ = callers(LevelBatchVAD(short_by=1), 8)
    first.handle.feed(window(0.5), 1.0)
    second.handle.feed(window(0.5), 1.0)
    await anyio.sleep(2 * TICK_S)
    assert [type(error) for error in first.errors + second.errors] == [ProviderBadReply, ProviderBadReply]


async def test_a_broken_detector_is_logged_once_and_without_what_it_says(
    caplog: pytest.LogCaptureFixture,
) -> None:
    vad = LevelVAD(crash)
    (caller,) = callers(vad, 1)
    for at in range(5):
        caller.handle.feed(window(0.5), at)
    assert len(caller.errors) == 5
    assert not any("said" in str(error) for error in caller.errors)
    (record,) = caplog.records
    assert record.exc_info is not None
    assert "said" not in record.getMessage()


@pytest.mark.parametrize("count", [1, 8])
async def test_a_detector_that_breaks_again_is_logged_again(
    count: int, caplog: pytest.LogCaptureFixture
) -> None:
    vad = LevelBatchVAD()
    caller, *_ = callers(vad, count)
    for broken in (crash, None, crash):
        vad.broken = broken
        caller.handle.feed(window(0.5), 1.0)
        await anyio.sleep(2 * TICK_S)
    assert len(caplog.records) == 2


async def test_a_call_that_fails_when_it_is_told_does_not_disturb_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, second, *_ = callers(LevelBatchVAD(), 8)
    first.then = crash
    first.handle.feed(window(0.5), 1.0)
    second.handle.feed(window(0.5), 1.0)
    await anyio.sleep(2 * TICK_S)
    assert second.verdicts == [(0.5, 1.0)]
    assert [record.levelname for record in caplog.records] == ["ERROR"]


@pytest.mark.parametrize("seed", range(30))
async def test_every_window_of_every_call_gets_its_verdict_in_order_and_soon(seed: int) -> None:
    rng = random.Random(seed)
    windows = SpeechWindows(LevelBatchVAD(), collect_from=8, tick_s=TICK_S)
    calls: list[Caller] = []
    fed: dict[int, list[tuple[float, float]]] = {}
    for _ in range(300):
        draw = rng.random()
        if not calls or (draw < 0.1 and len(calls) < 50):
            calls.append(Caller(windows))
            fed[id(calls[-1])] = []
        elif draw < 0.13:
            gone = calls.pop(rng.randrange(len(calls)))
            gone.handle.close()
            assert gone.verdicts == fed[id(gone)][: len(gone.verdicts)]
        elif draw < 0.85:
            caller = rng.choice(calls)
            for _ in range(rng.choice([1, 1, 1, 4])):
                verdict = (rng.randrange(1001) / 1000, float(len(fed[id(caller)])))
                caller.handle.feed(window(verdict[0]), verdict[1])
                fed[id(caller)].append(verdict)
        else:
            await anyio.sleep(rng.uniform(0, 0.03))
    await anyio.sleep(2 * TICK_S)
    assert [caller.verdicts for caller in calls] == [fed[id(caller)] for caller in calls]
