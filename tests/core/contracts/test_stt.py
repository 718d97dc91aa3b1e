"""Recognisers of whole utterances as streams: order, checkpoints, and the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from jackfield.contracts.stt import (
    DiscardingSTTStream,
    STTStream,
    Transcript,
    TranscriptionSettings,
    WholeUtteranceSTT,
)
from jackfield.errors import ProviderUnavailable

pytestmark = pytest.mark.anyio


class Counter(WholeUtteranceSTT):
    """Hears how many samples there are, when it is let."""

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.gate = anyio.Event()
        self.gate.set()
        self.running = anyio.Event()

    async def recognize(self, pcm: bytes, settings: TranscriptionSettings) -> Transcript:
        self.heard.append(len(pcm) // 2)
        self.running.set()
        await self.gate.wait()
        return Transcript(f"{len(pcm) // 2} {settings.language}", "final")


@asynccontextmanager
async def opened(stt: WholeUtteranceSTT) -> AsyncIterator[tuple[STTStream, AsyncIterator[Transcript]]]:
    async with stt.stream(TranscriptionSettings("en")) as stream:
        yield stream, aiter(stream)


def sound(samples: int) -> bytes:
    return bytes(2 * samples)


async def test_each_utterance_gets_one_final_in_order() -> None:
    async with opened(Counter()) as (stream, transcripts):
        for samples in (1, 2, 3):
            stream.push(sound(samples))
            stream.push(sound(samples))
            stream.end_utterance()

        found = [await anext(transcripts) for _ in range(3)]

    assert [(each.text, each.kind) for each in found] == [
        ("2 en", "final"),
        ("4 en", "final"),
        ("6 en", "final"),
    ]


async def test_a_checkpoint_is_answered_tentatively_with_the_sound_so_far() -> None:
    async with opened(Counter()) as (stream, transcripts):
        stream.push(sound(1))
        stream.checkpoint()
        first = await anext(transcripts)
        stream.push(sound(1))
        stream.checkpoint()
        second = await anext(transcripts)
        stream.end_utterance()
        last = await anext(transcripts)

    assert [(each.text, each.kind) for each in (first, second, last)] == [
        ("1 en", "tentative"),
        ("2 en", "tentative"),
        ("2 en", "final"),
    ]


async def test_a_checkpoint_that_nobody_began_to_answer_gives_way_to_a_newer_one() -> None:
    stt = Counter()
    async with opened(stt) as (stream, transcripts):
        for _ in range(3):
            stream.push(sound(1))
            stream.checkpoint()

        assert (await anext(transcripts)).text == "3 en"

    assert stt.heard == [3]


async def test_the_end_of_the_utterance_supersedes_its_checkpoint() -> None:
    stt = Counter()
    async with opened(stt) as (stream, transcripts):
        stream.push(sound(1))
        stream.checkpoint()
        stream.end_utterance()

        assert (await anext(transcripts)).kind == "final"

    assert stt.heard == [1]


@pytest.mark.parametrize("read_first", [True, False], ids=["answered", "not_begun"])
async def test_an_utterance_without_change_since_its_checkpoint_is_recognised_once(read_first: bool) -> None:
    stt = Counter()
    async with opened(stt) as (stream, transcripts):
        stream.push(sound(3))
        stream.checkpoint()
        if read_first:
            assert (await anext(transcripts)).kind == "tentative"
        stream.push(sound(2))  # silence, says who calls
        stream.end_utterance(unchanged=True)
        found = await anext(transcripts)
        stream.push(sound(1))
        stream.end_utterance(unchanged=True)  # without a checkpoint of its own it is recognised
        following = await anext(transcripts)

    assert (found.text, found.kind) == ("3 en", "final")
    assert following.text == "1 en"
    assert stt.heard == [3, 1]


class Gated(Counter):
    """Hears short sound only when it is let, and whatever is longer at once."""

    def __init__(self, longest: int) -> None:
        super().__init__()
        self.gate = anyio.Event()
        self.longest = longest
        self.given_up: list[int] = []

    async def recognize(self, pcm: bytes, settings: TranscriptionSettings) -> Transcript:
        samples = len(pcm) // 2
        if samples <= self.longest:
            try:
                return await super().recognize(pcm, settings)
            except anyio.get_cancelled_exc_class():
                self.given_up.append(samples)
                raise
        self.heard.append(samples)
        return Transcript(f"{samples} {settings.language}", "final")


async def heard_while(stt: Counter, steps: Callable[[STTStream], Awaitable[None]], count: int) -> list[str]:
    """Push a sample, ask for a checkpoint and take the steps while it is worked on; give transcripts."""
    found: list[str] = []

    async def listen(transcripts: AsyncIterator[Transcript]) -> None:
        async for transcript in transcripts:
            found.append(f"{transcript.kind} {transcript.text}")
            if len(found) == count:
                break

    async with opened(stt) as (stream, transcripts), anyio.create_task_group() as tasks:
        tasks.start_soon(listen, transcripts)
        stream.push(sound(1))
        stream.checkpoint()
        await stt.running.wait()
        await steps(stream)
    return found


async def test_an_utterance_that_went_on_does_not_wait_for_its_checkpoint() -> None:
    async def steps(stream: STTStream) -> None:
        stream.push(sound(1))
        stream.end_utterance()

    stt = Gated(longest=1)
    assert await heard_while(stt, steps, 1) == ["final 2 en"]
    assert stt.given_up == [1]


async def test_a_newer_checkpoint_does_not_wait_for_the_older_one() -> None:
    async def steps(stream: STTStream) -> None:
        stream.push(sound(1))
        stream.checkpoint()

    stt = Gated(longest=1)
    assert await heard_while(stt, steps, 1) == ["tentative 2 en"]
    assert stt.given_up == [1]


async def test_checkpoints_in_quick_succession_are_answered_all_the_same() -> None:
    stt = Gated(longest=5)

    async def steps(stream: STTStream) -> None:
        for _ in range(3):
            stream.push(sound(1))
            stream.checkpoint()
            await anyio.wait_all_tasks_blocked()
        stt.gate.set()

    assert await heard_while(stt, steps, 2) == ["tentative 2 en", "tentative 4 en"]
    assert stt.given_up == [1]


async def test_a_checkpoint_under_way_that_heard_everything_is_not_given_up() -> None:
    stt = Gated(longest=1)

    async def steps(stream: STTStream) -> None:
        stream.push(sound(3))
        stream.end_utterance(unchanged=True)
        await anyio.wait_all_tasks_blocked()
        stt.gate.set()

    assert await heard_while(stt, steps, 2) == ["tentative 1 en", "final 1 en"]
    assert stt.heard == [1]


async def test_a_final_under_way_is_never_given_up() -> None:
    stt = Gated(longest=1)

    async def steps(stream: STTStream) -> None:
        stream.end_utterance(unchanged=True)
        stt.gate.set()
        await anyio.wait_all_tasks_blocked()
        stt.gate = anyio.Event()
        stream.push(sound(1))
        stream.end_utterance()
        await anyio.wait_all_tasks_blocked()
        stream.push(sound(2))
        stream.checkpoint()
        stream.end_utterance()
        await anyio.wait_all_tasks_blocked()
        stt.gate.set()

    found = await heard_while(stt, steps, 4)
    assert found == ["tentative 1 en", "final 1 en", "final 1 en", "final 2 en"]


async def test_discarded_sound_is_not_recognised() -> None:
    stt = Counter()
    async with opened(stt) as (stream, transcripts):
        stream.push(sound(1))
        stream.end_utterance()
        stream.push(sound(2))
        stream.checkpoint()
        assert isinstance(stream, DiscardingSTTStream)
        stream.discard()
        stream.push(sound(4))
        stream.end_utterance(unchanged=True)

        assert [(await anext(transcripts)).text for _ in range(2)] == ["1 en", "4 en"]

    assert stt.heard == [1, 4]


async def test_a_checkpoint_under_way_is_given_up_when_its_sound_is_discarded() -> None:
    stt = Gated(longest=1)

    async def steps(stream: STTStream) -> None:
        assert isinstance(stream, DiscardingSTTStream)
        stream.discard()
        await anyio.wait_all_tasks_blocked()
        assert stt.given_up == [1]
        stt.gate.set()
        stream.push(sound(3))
        stream.end_utterance()

    assert await heard_while(stt, steps, 1) == ["final 3 en"]


async def test_a_checkpoint_under_way_that_an_utterance_ended_with_is_not_given_up() -> None:
    stt = Gated(longest=1)

    async def steps(stream: STTStream) -> None:
        assert isinstance(stream, DiscardingSTTStream)
        stream.end_utterance(unchanged=True)
        stream.push(sound(3))
        stream.discard()
        await anyio.wait_all_tasks_blocked()
        stt.gate.set()

    assert await heard_while(stt, steps, 2) == ["tentative 1 en", "final 1 en"]
    assert stt.heard == [1]


async def test_a_checkpoint_never_drops_a_final() -> None:
    async with opened(Counter()) as (stream, transcripts):
        stream.push(sound(1))
        stream.end_utterance()
        stream.push(sound(2))
        stream.checkpoint()
        stream.checkpoint()

        assert [(await anext(transcripts)).text for _ in range(2)] == ["1 en", "2 en"]


async def test_sound_pushed_while_the_last_utterance_is_recognised_belongs_to_the_next() -> None:
    stt = Counter()
    stt.gate = anyio.Event()
    found: list[str] = []

    async def listen(transcripts: AsyncIterator[Transcript]) -> None:
        found.extend([(await anext(transcripts)).text, (await anext(transcripts)).text])

    async with opened(stt) as (stream, transcripts), anyio.create_task_group() as tasks:
        stream.push(sound(1))
        stream.end_utterance()
        tasks.start_soon(listen, transcripts)
        await stt.running.wait()
        stream.push(sound(5))
        stream.end_utterance()
        stt.gate.set()

    assert found == ["1 en", "5 en"]


async def test_an_utterance_without_sound_has_an_empty_final_and_costs_nothing() -> None:
    stt = Counter()
    async with opened(stt) as (stream, transcripts):
        stream.end_utterance()
        stream.checkpoint()

        assert await anext(transcripts) == Transcript("", "final")
        assert await anext(transcripts) == Transcript("", "tentative")

    assert stt.heard == []


async def test_whoever_waits_is_woken_by_what_comes() -> None:
    found: list[str] = []

    async def listen(transcripts: AsyncIterator[Transcript]) -> None:
        found.append((await anext(transcripts)).text)

    async with opened(Counter()) as (stream, transcripts), anyio.create_task_group() as tasks:
        tasks.start_soon(listen, transcripts)
        await anyio.wait_all_tasks_blocked()
        stream.push(sound(1))
        await anyio.wait_all_tasks_blocked()
        assert found == []
        stream.end_utterance()

    assert found == ["1 en"]


async def test_closing_the_stream_ends_the_iteration() -> None:
    ended: list[str] = []

    async def listen(transcripts: AsyncIterator[Transcript]) -> None:
        async for _ in transcripts:
            pass
        ended.append("ended")

    async with anyio.create_task_group() as tasks, opened(Counter()) as (_, transcripts):
        tasks.start_soon(listen, transcripts)
        await anyio.wait_all_tasks_blocked()

    assert ended == ["ended"]


async def test_a_failure_reaches_whoever_iterates() -> None:
    class Broken(WholeUtteranceSTT):
        async def recognize(self, pcm: bytes, settings: TranscriptionSettings) -> Transcript:
            raise ProviderUnavailable("gone")

    async with opened(Broken()) as (stream, transcripts):
        stream.push(sound(1))
        stream.end_utterance()
        with pytest.raises(ProviderUnavailable):
            await anext(transcripts)


async def test_cancelling_whoever_iterates_cancels_the_recognition() -> None:
    stt = Counter()
    stt.gate = anyio.Event()
    async with opened(stt) as (stream, transcripts):
        stream.push(sound(1))
        stream.end_utterance()
        with anyio.move_on_after(0.01) as scope:
            await anext(transcripts)

    assert scope.cancelled_caught


async def test_streams_do_not_mix() -> None:
    stt = Counter()
    async with opened(stt) as (one, from_one), opened(stt) as (two, from_two):
        one.push(sound(1))
        two.push(sound(2))
        two.end_utterance()
        one.end_utterance()

        assert ((await anext(from_one)).text, (await anext(from_two)).text) == ("1 en", "2 en")
