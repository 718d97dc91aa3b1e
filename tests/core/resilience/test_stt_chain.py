"""Recognisers that stand for each other, on a clock that waits for nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

import anyio
import pytest

from jackfield.contracts.failover import Failover
from jackfield.contracts.stt import STT, DiscardingSTTStream, Transcript, TranscriptionSettings
from jackfield.errors import ProviderBadReply, ProviderRefused, ProviderUnavailable
from jackfield.resilience.stt_chain import STTChain
from jackfield.testing.virtual_clock import VirtualClock
from tests.core.resilience.chained import Witness

pytestmark = pytest.mark.anyio

SETTINGS = TranscriptionSettings(failover=Failover(3))
GONE = ProviderUnavailable("gone")
Trouble = Literal["refuses", "hangs at first", "push", "hangs", "fails", "ends", "garbage", "task"]
TROUBLES: Sequence[Trouble] = (
    "refuses",
    "hangs at first",
    "push",
    "hangs",
    "fails",
    "ends",
    "garbage",
    "task",
)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


@pytest.fixture
def witness() -> Witness:
    return Witness()


@dataclass
class Ears:
    """Hears sound as the text that it is, and fails in the ways that it is told to."""

    trouble: Trouble | None = None
    partials: bool = False
    streams: list[Stream] = field(default_factory=list)

    def stream(self, settings: TranscriptionSettings) -> Stream:
        stream = Stream(self)
        self.streams.append(stream)
        return stream

    @property
    def open(self) -> int:
        return sum(stream.open for stream in self.streams)


class Stream:
    def __init__(self, ears: Ears) -> None:
        self.ears = ears
        self.steps: list[str] = []
        self.open = False
        self._text = ""
        self._stack = AsyncExitStack()

    def push(self, pcm: bytes) -> None:
        if self.ears.trouble == "push":
            raise GONE
        self.steps.append(pcm.decode())
        self._text += pcm.decode()
        if self.ears.partials:
            self._send.send_nowait(Transcript(self._text, "partial"))

    def checkpoint(self) -> None:
        self.steps.append("?")
        self._send.send_nowait(Transcript(self._text, "tentative"))

    def end_utterance(self, *, unchanged: bool = False) -> None:
        self.steps.append("!")
        if self.ears.trouble == "hangs":
            return
        answer: object = Transcript(self._text, "final")
        if self.ears.trouble in ("fails", "task", "ends"):
            answer = self.ears.trouble
        self._send.send_nowait("no transcript" if self.ears.trouble == "garbage" else answer)
        self._text = ""

    def answer(self, answer: object) -> None:
        self._send.send_nowait(answer)

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for transcript in self._receive:
            if transcript == "fails":
                raise GONE
            if transcript == "ends":
                return
            if transcript == "task":
                self._tasks.start_soon(self._fail)
                await anyio.sleep_forever()
            yield transcript

    async def _fail(self) -> None:
        raise GONE

    async def __aenter__(self) -> Self:
        if self.ears.trouble == "refuses":
            raise GONE
        if self.ears.trouble == "hangs at first":
            await anyio.sleep_forever()
        self._send, self._receive = anyio.create_memory_object_stream[object](1000)
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        self.open = True
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> bool | None:
        self.open = False
        self._send.close()
        self._receive.close()
        self._tasks.cancel_scope.cancel()
        return await self._stack.__aexit__(exc_type, exc, tb)


def chained(witness: Witness, *ears: Ears) -> STTChain:
    chain: STTChain = witness.join("stt", *ears)
    return chain


async def heard(stt: STT, *words: str) -> str:
    """The final transcript of one utterance, as a clip is heard."""
    async with stt.stream(SETTINGS) as stream:
        for word in words:
            stream.push(word.encode())
        stream.end_utterance()
        return await final(aiter(stream))


async def final(transcripts: AsyncIterator[Transcript]) -> str:
    while (transcript := await anext(transcripts)).kind != "final":
        pass
    return transcript.text


def timers() -> int:
    scheduled: list[asyncio.TimerHandle] = vars(asyncio.get_running_loop())["_scheduled"]
    return sum(not handle.cancelled() for handle in scheduled)


# One utterance.


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_the_second_hears_what_the_first_could_not(witness: Witness, trouble: Trouble) -> None:
    first, second = Ears(trouble), Ears()
    assert await heard(chained(witness, first, second), "one ", "two") == "one two"
    assert witness.taken_over == [("stt", "second")]
    assert first.open == second.open == 0
    assert timers() == 0


@pytest.mark.parametrize("trouble", ["hangs at first", "hangs"])
async def test_one_that_gives_no_transcript_is_left_in_time(witness: Witness, trouble: Trouble) -> None:
    began_s = anyio.current_time()
    await heard(chained(witness, Ears(trouble), Ears()), "one")
    assert anyio.current_time() - began_s == pytest.approx(3)


async def test_partial_transcripts_do_not_count(witness: Witness) -> None:
    first, second = Ears("fails", partials=True), Ears()
    assert await heard(chained(witness, first, second), "one ", "two") == "one two"
    assert second.streams[0].steps == ["one two", "!"]


async def test_the_last_has_all_the_time_there_is(witness: Witness) -> None:
    with anyio.move_on_after(100) as scope:
        await heard(chained(witness, Ears("refuses"), Ears("hangs")), "one")
    assert scope.cancelled_caught
    assert witness.is_open("second")


async def test_the_error_of_the_last_is_the_chains(witness: Witness) -> None:
    with pytest.raises(ProviderBadReply):
        await heard(chained(witness, Ears("fails"), Ears("ends")), "one")


async def test_sound_that_is_not_acceptable_concerns_no_other(witness: Witness) -> None:
    class Picky(Ears):
        def stream(self, settings: TranscriptionSettings) -> Stream:
            raise ProviderRefused("too short")

    second = Ears()
    with pytest.raises(ProviderRefused):
        await heard(chained(witness, Picky(), second), "one")
    assert second.streams == []


async def test_a_request_that_is_given_up_soon_decides_nothing(witness: Witness) -> None:
    with anyio.move_on_after(2):
        await heard(chained(witness, Ears("hangs"), Ears()), "one")
    assert witness.failed == []
    assert timers() == 0


# A call.


async def test_a_call_goes_on_with_the_second_and_the_utterance_is_said_again(witness: Witness) -> None:
    first, second = Ears(), Ears()
    async with chained(witness, first, second).stream(SETTINGS) as stream:
        transcripts = aiter(stream)
        stream.push(b"one")
        stream.end_utterance()
        assert await final(transcripts) == "one"
        first.trouble = "push"
        stream.push(b"two ")
        stream.push(b"three")
        stream.end_utterance()
        assert await final(transcripts) == "two three"
        stream.push(b"four")
        stream.end_utterance()
        assert await final(transcripts) == "four"
    assert second.streams[0].steps == ["two three", "!", "four", "!"]


async def test_all_utterances_that_were_not_answered_are_said_again(witness: Witness) -> None:
    first, second = Ears("hangs"), Ears()
    async with chained(witness, first, second).stream(SETTINGS) as stream:
        transcripts = aiter(stream)
        for words in ("one", "two"):
            stream.push(words.encode())
            stream.end_utterance()
        stream.push(b"thr")
        assert await final(transcripts) == "one"
        stream.push(b"ee")
        stream.end_utterance()
        assert [await final(transcripts), await final(transcripts)] == ["two", "three"]
    assert second.streams[0].steps == ["one", "!", "two", "!", "thr", "ee", "!"]


async def test_a_checkpoint_is_asked_for_again_where_it_was(witness: Witness) -> None:
    first, second = Ears(), Ears()
    async with chained(witness, first, second).stream(SETTINGS) as stream:
        transcripts = aiter(stream)
        stream.push(b"one ")
        stream.checkpoint()
        stream.push(b"two ")
        first.trouble = "push"
        stream.push(b"three")
        found = [await anext(transcripts)]
        stream.end_utterance(unchanged=True)
        found.append(await anext(transcripts))
    assert second.streams[0].steps == ["one ", "?", "two three", "!"]
    assert [(each.kind, each.text) for each in found] == [
        ("tentative", "one "),
        ("final", "one two three"),
    ]


async def test_a_final_that_nobody_asked_for_is_a_bad_reply(witness: Witness) -> None:
    first, second = Ears(), Ears()
    async with chained(witness, first, second).stream(SETTINGS) as stream:
        transcripts = aiter(stream)
        stream.push(b"one ")
        await anyio.wait_all_tasks_blocked()
        first.streams[0].answer(Transcript("what nobody said", "final"))
        await anyio.wait_all_tasks_blocked()
        stream.push(b"two")
        stream.end_utterance()
        assert await final(transcripts) == "one two"
    assert witness.failed == [("first", "ProviderBadReply")]


async def test_a_service_that_hangs_up_on_silence_has_not_failed(witness: Witness) -> None:
    first, second = Ears(), Ears()
    async with chained(witness, first, second).stream(SETTINGS) as stream:
        await anyio.wait_all_tasks_blocked()
        first.streams[0].answer("fails")
        with pytest.raises(ProviderUnavailable):
            await anext(aiter(stream))
    assert witness.failed == []
    assert second.streams == []


async def test_silence_is_not_waited_for(witness: Witness) -> None:
    async with chained(witness, Ears(), Ears()).stream(SETTINGS) as stream:
        transcripts = aiter(stream)
        for _ in range(2):
            with anyio.move_on_after(100):
                await anext(transcripts)
            stream.push(b"one")
            stream.end_utterance()
            assert await final(transcripts) == "one"
    assert witness.events == []


async def test_between_utterances_a_call_goes_back_to_a_first_that_works_again(witness: Witness) -> None:
    first, second = Ears("refuses"), Ears()
    async with chained(witness, first, second).stream(SETTINGS) as stream:
        transcripts = aiter(stream)
        await anyio.wait_all_tasks_blocked()
        first.trouble = None
        for word in ("one", "two", "three", "four"):
            stream.push(word.encode())
            stream.end_utterance()
            assert await final(transcripts) == word
            await anyio.sleep(3)
    assert second.streams[0].steps == ["one", "!", "two", "!", "three", "!"]
    assert first.streams[-1].steps == ["four", "!"]
    assert not witness.is_open("first")
    assert first.open == second.open == 0


async def test_a_second_that_fails_later_is_left_for_a_first_that_works_again(witness: Witness) -> None:
    first, second = Ears("refuses"), Ears()
    async with chained(witness, first, second).stream(SETTINGS) as stream:
        transcripts = aiter(stream)
        stream.push(b"one")
        stream.end_utterance()
        assert await final(transcripts) == "one"
        first.trouble, second.trouble = None, "fails"
        await anyio.sleep(100)
        stream.push(b"two")
        stream.end_utterance()
        assert await final(transcripts) == "two"
    assert first.streams[-1].steps == ["two", "!"]


# What nobody wants to know.


class ForgettingEars(Ears):
    def stream(self, settings: TranscriptionSettings) -> Stream:
        stream = ForgettingStream(self)
        self.streams.append(stream)
        return stream


class ForgettingStream(Stream):
    def discard(self) -> None:
        self.steps.append("x")
        self._text = ""


@pytest.mark.parametrize("kind", [Ears, ForgettingEars])
async def test_what_is_discarded_has_no_transcript(witness: Witness, kind: type[Ears]) -> None:
    first = kind(partials=True)
    async with chained(witness, first, Ears()).stream(SETTINGS) as stream:
        assert isinstance(stream, DiscardingSTTStream)
        transcripts = aiter(stream)
        await anyio.wait_all_tasks_blocked()
        stream.push(b"a cough")
        stream.checkpoint()
        await anyio.wait_all_tasks_blocked()
        stream.discard()
        stream.discard()
        stream.push(b"one")
        stream.end_utterance()
        found = [await anext(transcripts), await anext(transcripts)]
    assert [(each.kind, each.text) for each in found] == [("partial", "one"), ("final", "one")]
    assert first.streams[0].steps == ["a cough", "?", "!" if kind is Ears else "x", "one", "!"]


async def test_what_was_discarded_is_not_said_again(witness: Witness) -> None:
    first, second = Ears(), Ears()
    async with chained(witness, first, second).stream(SETTINGS) as stream:
        await anyio.wait_all_tasks_blocked()
        stream.push(b"a cough")
        first.trouble = "hangs"
        stream.discard()
        stream.push(b"one")
        stream.end_utterance()
        assert await final(aiter(stream)) == "one"
    assert second.streams[0].steps == ["one", "!"]


async def test_what_is_discarded_before_anybody_listens_never_was(witness: Witness) -> None:
    first = Ears()
    async with chained(witness, first, Ears()).stream(SETTINGS) as stream:
        stream.push(b"a cough")
        stream.discard()
        stream.push(b"one")
        stream.end_utterance()
        assert await final(aiter(stream)) == "one"
    assert first.streams[0].steps == ["one", "!"]
