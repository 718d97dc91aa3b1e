"""The recogniser of a call: every utterance is answered, in its order, whatever happens to the stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from jackfield.assembly import Built
from jackfield.contracts.extension import Event, ProviderFailed
from jackfield.contracts.stt import STT, STTStream, Transcript, TranscriptionSettings
from jackfield.dialogue.call.recognition import Recognition
from jackfield.errors import ProviderBadReply, ProviderTimedOut, ProviderUnavailable
from jackfield.plugin import Capabilities
from jackfield.testing import FakeSTT, VirtualClock
from jackfield_stt_scripted import ScriptedOptions, ScriptedStream, ScriptedSTT

pytestmark = pytest.mark.anyio

SECOND = b"\x01\x00" * 16_000


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


@dataclass
class Notes:
    """A listener that writes down what it is told."""

    guesses: list[str] = field(default_factory=list)
    finals: list[str] = field(default_factory=list)
    failures: list[tuple[type[Exception], int]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def guessed(self, transcript: Transcript) -> None:
        self.guesses.append(transcript.text)

    def recognised(self, transcript: Transcript) -> None:
        self.finals.append(transcript.text)

    def recognition_failed(self, error: Exception, in_a_row: int) -> None:
        self.failures.append((type(error), in_a_row))


@asynccontextmanager
async def listening(stt: STT, *, run_at_once: bool = True) -> AsyncIterator[tuple[Recognition, Notes]]:
    notes = Notes()
    recognition = Recognition(
        Built("stt", "ears", Capabilities(), stt),
        TranscriptionSettings(),
        limit_s=5,
        listener=notes,
        publish=notes.events.append,
        used=lambda _stt, seconds: notes.seconds.append(seconds),
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(recognition.run)
        if run_at_once:
            await anyio.sleep(0.01)
        yield recognition, notes
        tasks.cancel_scope.cancel()
    recognition.close()


def script(*transcripts: str, **options: Any) -> ScriptedSTT:
    return ScriptedSTT(ScriptedOptions(transcripts=transcripts, **options))


class Failing(FakeSTT):
    """Fails at some of the utterances, counted from 0; hangs at others."""

    def __init__(self, *fails_at: int, hangs_at: int | None = None) -> None:
        super().__init__()
        self._fails_at = fails_at
        self._hangs_at = hangs_at

    async def recognize(self, pcm: bytes, settings: TranscriptionSettings) -> Transcript:
        number = len(self.utterances)
        self.error = (lambda: ProviderUnavailable("gone")) if number in self._fails_at else None
        self.delay_s = 1000 if number == self._hangs_at else 0.1
        return await super().recognize(pcm, settings)


async def test_utterances_are_answered_in_their_order() -> None:
    async with listening(script("one", "two", delay_s=1)) as (recognition, notes):
        for _ in range(2):
            recognition.push(SECOND)
            recognition.end()
        assert recognition.pending == 2
        await anyio.sleep(3)

    assert notes.finals == ["one", "two"]
    assert recognition.pending == 0


async def test_an_utterance_without_sound_is_empty_at_once() -> None:
    async with listening(FakeSTT()) as (recognition, notes):
        recognition.end()

        assert notes.finals == [""]


async def test_guesses_about_what_has_ended_are_not_told() -> None:
    async with listening(script("one two", partials=True)) as (recognition, notes):
        recognition.push(SECOND)
        recognition.end()
        await anyio.sleep(1)
        recognition.push(SECOND)
        await anyio.sleep(1)

    assert notes.finals == ["one two"]
    assert notes.guesses == ["one two"]


async def test_what_happens_before_the_stream_is_open_is_done_once_it_is() -> None:
    async with listening(stt := FakeSTT(), run_at_once=False) as (recognition, notes):
        recognition.push(SECOND)
        recognition.checkpoint()
        recognition.push(SECOND)
        recognition.end()
        await anyio.sleep(1)

    assert stt.utterances == [SECOND + SECOND]
    assert notes.finals == ["hello there"]


async def test_discarded_sound_is_not_part_of_the_next_utterance() -> None:
    async with listening(stt := FakeSTT()) as (recognition, notes):
        recognition.push(SECOND)
        recognition.discard()
        assert recognition.pending == 0
        recognition.push(SECOND[:100])
        recognition.end()
        await anyio.sleep(1)

    assert notes.finals == ["hello there"]
    assert stt.utterances == [SECOND[:100]]


async def test_sound_that_is_discarded_before_the_stream_is_open_never_reaches_it() -> None:
    async with listening(stt := FakeSTT(), run_at_once=False) as (recognition, notes):
        recognition.push(SECOND)
        recognition.end()
        recognition.push(SECOND[:50])
        recognition.checkpoint()
        recognition.discard()
        recognition.push(SECOND[:100])
        recognition.end()
        await anyio.sleep(1)

    assert stt.utterances == [SECOND, SECOND[:100]]
    assert notes.finals == ["hello there"] * 2


async def test_a_transcript_that_is_not_wanted_any_more_is_not_told() -> None:
    async with listening(script("one", "two", delay_s=1)) as (recognition, notes):
        recognition.push(SECOND)
        recognition.end()
        recognition.forget()
        recognition.push(SECOND)
        recognition.end()
        await anyio.sleep(3)

    assert notes.finals == ["two"]


async def test_a_failure_is_told_and_the_next_utterance_is_recognised() -> None:
    async with listening(Failing(0)) as (recognition, notes):
        for _ in range(2):
            recognition.push(SECOND)
            recognition.end()
            await anyio.sleep(1)

    assert notes.failures == [(ProviderUnavailable, 1)]
    assert notes.finals == ["hello there"]
    assert [type(event) for event in notes.events] == [ProviderFailed]


async def test_failures_in_a_row_are_counted_until_something_is_recognised() -> None:
    async with listening(Failing(0, 1, 3)) as (recognition, notes):
        for _ in range(4):
            recognition.push(SECOND)
            recognition.end()
            await anyio.sleep(1)

    assert [in_a_row for _, in_a_row in notes.failures] == [1, 2, 1]


async def test_several_utterances_that_fail_together_are_one_failure() -> None:
    async with listening(Failing(0)) as (recognition, notes):
        for _ in range(2):
            recognition.push(SECOND)
            recognition.end()
        await anyio.sleep(1)

    assert notes.failures == [(ProviderUnavailable, 1)]
    assert notes.finals == []


async def test_an_utterance_whose_beginning_was_lost_fails_at_its_end() -> None:
    async with listening(Failing(0)) as (recognition, notes):
        recognition.push(SECOND)
        recognition.checkpoint()
        await anyio.sleep(1)
        recognition.push(SECOND)
        assert notes.failures == []
        recognition.end()
        assert notes.failures == [(ProviderUnavailable, 1)]
        recognition.push(SECOND)
        recognition.end()
        await anyio.sleep(1)

    assert notes.finals == ["hello there"]


async def test_a_transcript_that_does_not_come_is_a_failure_in_time() -> None:
    async with listening(Failing(hangs_at=0)) as (recognition, notes):
        recognition.push(SECOND)
        recognition.end()
        await anyio.sleep(4.9)
        assert notes.failures == []
        await anyio.sleep(0.2)
        assert notes.failures == [(ProviderTimedOut, 1)]
        recognition.push(SECOND)
        recognition.end()
        await anyio.sleep(1)

    assert notes.finals == ["hello there"]


async def test_each_of_several_utterances_has_its_time() -> None:
    async with listening(Failing(hangs_at=1)) as (recognition, notes):
        for _ in range(2):
            recognition.push(SECOND)
            recognition.end()
        await anyio.sleep(6)

    assert notes.finals == ["hello there"]
    assert notes.failures == [(ProviderTimedOut, 1)]


class Odd(ScriptedSTT):
    """Its first stream is not what it should be."""

    def __init__(self, odd: Callable[[], ScriptedStream]) -> None:
        super().__init__(ScriptedOptions(transcripts=("hello there",)))
        self._odd: Callable[[], ScriptedStream] | None = odd

    def stream(self, settings: TranscriptionSettings) -> ScriptedStream:
        odd, self._odd = self._odd, None
        return odd() if odd is not None else super().stream(settings)


def plain() -> ScriptedStream:
    return ScriptedStream(ScriptedOptions(transcripts=("hello there",)), None)


class Unasked(ScriptedStream):
    async def __aiter__(self) -> AsyncIterator[Transcript]:
        yield Transcript("unasked", "final")


class Ended(ScriptedStream):
    async def __aiter__(self) -> AsyncIterator[Transcript]:
        await anyio.sleep(1)
        return
        yield


class Broken(ScriptedStream):
    def push(self, pcm: bytes) -> None:
        raise RuntimeError("broken")


class Shut(ScriptedStream):
    async def __aenter__(self) -> STTStream:  # type: ignore[override]  # it never comes to that
        raise ProviderUnavailable("nobody is there")


class Stubborn(ScriptedStream):
    discard = None  # type: ignore[assignment]  # as if it had no such method


async def test_of_a_stream_that_cannot_forget_the_transcript_is_thrown_away() -> None:
    stt = Odd(lambda: Stubborn(ScriptedOptions(transcripts=("one", "two")), None))
    async with listening(stt) as (recognition, notes):
        for _ in range(2):
            recognition.push(SECOND)
            recognition.discard()
            recognition.push(SECOND)
            recognition.end()
            assert recognition.pending == 1
            await anyio.sleep(1)

    assert notes.finals == ["two", "two"]
    assert notes.failures == []


@pytest.mark.parametrize("kind", [Unasked, Ended, Broken, Shut])
async def test_after_any_failure_there_is_a_new_stream(kind: type[ScriptedStream]) -> None:
    stt = Odd(lambda: kind(ScriptedOptions(), None))
    async with listening(stt) as (recognition, notes):
        await anyio.sleep(2)
        for _ in range(2):
            recognition.push(SECOND)
            recognition.end()
            await anyio.sleep(1)

    assert notes.finals[-1] == "hello there"
    assert len(notes.finals) + len(notes.failures) == 2


async def test_a_final_that_nobody_asked_for_is_a_bad_reply() -> None:
    async with listening(Odd(lambda: Unasked(ScriptedOptions(), None))) as (_, notes):
        await anyio.sleep(1)

    assert [event.error for event in notes.events if isinstance(event, ProviderFailed)] == [
        ProviderBadReply.__name__
    ]


async def test_a_stream_that_does_not_open_is_a_failure_in_time() -> None:
    class Stuck(ScriptedStream):
        async def __aenter__(self) -> STTStream:  # type: ignore[override]  # it never comes to that
            await anyio.sleep_forever()
            raise AssertionError

    async with listening(Odd(lambda: Stuck(ScriptedOptions(), None))) as (recognition, notes):
        for _ in range(2):
            recognition.push(SECOND)
            recognition.end()
            await anyio.sleep(6)

    assert notes.failures == [(ProviderTimedOut, 1)]
    assert notes.finals == ["hello there"]


async def test_a_stream_that_will_not_close_does_not_keep_the_failure_back() -> None:
    class Clinging(FakeSTT):
        async def recognize(self, pcm: bytes, settings: TranscriptionSettings) -> Transcript:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(8)
            return Transcript("late", "final")

    async with listening(Clinging()) as (recognition, notes):
        recognition.push(SECOND)
        recognition.end()
        await anyio.sleep(5.1)
        assert notes.failures == [(ProviderTimedOut, 1)]
        await anyio.sleep(10)

    assert notes.finals == []


async def test_all_sound_that_the_recogniser_was_given_is_counted() -> None:
    async with listening(script("one")) as (recognition, notes):
        recognition.push(bytes(32_000))
        recognition.discard()
        recognition.push(bytes(16_000))
        recognition.end()

    assert notes.seconds == [1.0, 0.5]
