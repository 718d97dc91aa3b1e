"""Voices that stand for each other, on a clock that waits for nobody."""

from __future__ import annotations

from array import array
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from jackfield.contracts.failover import Failover
from jackfield.contracts.tts import IncrementalTTS, SpeechMark, SpeechSettings, TTSOutput, Voice
from jackfield.errors import ProviderBadReply, ProviderUnavailable
from jackfield.plugin import Capabilities
from jackfield.resilience.guard import Patience, guard
from jackfield.testing.virtual_clock import VirtualClock
from tests.core.resilience.chained import Witness

pytestmark = pytest.mark.anyio

HANGS = 1e6
SETTINGS = SpeechSettings(failover=Failover(3))
STREAMING = Capabilities(streaming=True)
Step = float | TTSOutput | Exception | object
MARK = SpeechMark("word", "Hello", 0.0)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


@pytest.fixture
def witness() -> Witness:
    return Witness()


def sound(samples: int, value: int = 1) -> bytes:
    return array("h", [value] * samples).tobytes()


@dataclass
class Singer:
    """Follows a script for each text: waits numbers, raises errors, gives the rest."""

    script: Sequence[Step] = (sound(10),)
    hz: int = 16_000
    texts: list[str] = field(default_factory=list)

    def rate_hz(self, voice: Voice) -> int:
        return self.hz

    async def synthesize(self, text: str, settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
        self.texts.append(text)
        async for output in self._sung():
            yield output

    async def _sung(self) -> AsyncGenerator[TTSOutput, None]:
        for step in self.script:
            if isinstance(step, float):
                await anyio.sleep(step)
            elif isinstance(step, Exception):
                raise step
            else:
                yield step  # type: ignore[misc]  # some give what they must not


class Follower(Singer):
    """Follows its script for each piece."""

    async def stream(
        self, pieces: AsyncIterator[str], settings: SpeechSettings
    ) -> AsyncGenerator[TTSOutput, None]:
        async for piece in pieces:
            self.texts.append(piece)
            async for output in self._sung():
                yield output


class Impatient(Follower):
    """Fails while it waits for text, and takes who waits with it."""

    async def stream(
        self, pieces: AsyncIterator[str], settings: SpeechSettings
    ) -> AsyncGenerator[TTSOutput, None]:
        self.texts.append(await anext(pieces))
        with anyio.move_on_after(1):
            await anext(pieces)
        raise ProviderUnavailable("hung up")
        yield b""


async def spoken(tts: Any, text: str = "Hello.") -> list[TTSOutput]:
    async with aclosing(tts.synthesize(text, SETTINGS)) as outputs:
        return [output async for output in outputs]


async def spelled(*pieces: str | float) -> AsyncGenerator[str, None]:
    for piece in pieces:
        if isinstance(piece, float):
            await anyio.sleep(piece)
        else:
            yield piece


async def sung(tts: Any, *pieces: str | float) -> list[TTSOutput]:
    async with aclosing(tts.stream(spelled(*pieces), SETTINGS)) as outputs:
        return [output async for output in outputs]


# Whole texts.


@pytest.mark.parametrize(
    "script",
    [
        [ProviderUnavailable("gone")],
        [MARK, ProviderUnavailable("gone")],
        [b"", MARK, HANGS],
        [b"odd"],
        ["text"],
        [MARK],
        [],
    ],
    ids=repr,
)
async def test_the_second_speaks_where_the_first_makes_no_sound(witness: Witness, script: list[Step]) -> None:
    second = Singer()
    assert await spoken(witness.join("tts", Singer(script), second)) == [sound(10)]
    assert second.texts == ["Hello."]
    assert witness.taken_over == [("tts", "second")]


async def test_a_voice_that_is_silent_is_left_in_time(witness: Witness) -> None:
    began_s = anyio.current_time()
    await spoken(witness.join("tts", Singer([HANGS]), Singer()))
    assert anyio.current_time() - began_s == pytest.approx(3)


async def test_a_text_with_nothing_to_say_may_be_silent(witness: Witness) -> None:
    assert await spoken(witness.join("tts", Singer([]), Singer()), "...") == []
    assert witness.events == []


async def test_nobody_takes_over_after_sound(witness: Witness) -> None:
    second = Singer()
    with pytest.raises(ProviderUnavailable):
        await spoken(witness.join("tts", Singer([sound(10), ProviderUnavailable("cut")]), second))
    assert second.texts == []
    assert witness.is_open("first")


async def test_marks_come_with_the_sound_that_they_belong_to(witness: Witness) -> None:
    second = Singer([MARK, sound(3), sound(4)])
    assert await spoken(witness.join("tts", Singer([MARK, HANGS]), second)) == [MARK, sound(3), sound(4)]


@pytest.mark.parametrize("hz", [8_000, 24_000, 48_000])
async def test_sound_of_a_fallback_has_the_rate_of_the_first(witness: Witness, hz: int) -> None:
    chain = witness.join("tts", Singer([ProviderUnavailable("gone")]), Singer([sound(hz, 1000), MARK], hz=hz))
    assert chain.rate_hz(Voice()) == 16_000
    outputs = await spoken(chain)
    pcm = b"".join(output for output in outputs if isinstance(output, bytes))
    assert len(pcm) / 2 == pytest.approx(16_000, abs=100)
    assert MARK in outputs
    assert max(len(output) for output in outputs if isinstance(output, bytes)) <= 16_000 // 10 * 2 + 200


async def test_garbage_of_a_fallback_at_another_rate_is_a_bad_reply(witness: Witness) -> None:
    chain = witness.join("tts", Singer([ProviderUnavailable("gone")]), Singer([b"odd"], hz=8_000))
    with pytest.raises(ProviderBadReply):
        await spoken(chain)


# Text in pieces.


def test_a_chain_takes_pieces_where_its_first_voice_does(witness: Witness) -> None:
    can = [STREAMING, Capabilities()]
    assert isinstance(witness.join("tts", Follower(), Singer(), can=can), IncrementalTTS)
    assert not isinstance(witness.join("tts", Singer(), Follower(), can=can[::-1]), IncrementalTTS)


async def test_the_next_voice_begins_at_the_beginning_of_the_text(witness: Witness) -> None:
    first, second = Follower([HANGS]), Follower()
    chain = witness.join("tts", first, second, can=[STREAMING] * 2)
    assert await sung(chain, "One. ", "Two. ", 1.0, "Three.") == [sound(10)] * 3
    assert first.texts == ["One. "]
    assert second.texts == ["One. ", "Two. ", "Three."]


async def test_a_voice_that_wants_whole_texts_is_given_each_piece(witness: Witness) -> None:
    second = Singer([MARK, sound(16_000)])
    chain = witness.join(
        "tts", Follower([ProviderUnavailable("gone")]), second, can=[STREAMING, Capabilities()]
    )
    outputs = await sung(chain, "One. ", "Two.")
    assert second.texts == ["One.", "Two."]
    assert [output.at_s for output in outputs if isinstance(output, SpeechMark)] == [0.0, 1.0]


async def test_a_voice_that_waits_for_text_is_not_late(witness: Witness) -> None:
    first = Follower([1.0, sound(10)])
    chain = witness.join("tts", first, Follower(), can=[STREAMING] * 2)
    assert await sung(chain, 100.0, "One. ", 100.0, "Two.") == [sound(10)] * 2
    assert witness.events == []


async def test_a_voice_that_is_silent_once_it_has_text_is_left(witness: Witness) -> None:
    first, second = Follower([HANGS]), Follower()
    began_s = anyio.current_time()
    chain = witness.join("tts", first, second, can=[STREAMING] * 2)
    assert await sung(chain, 100.0, "One. ", "Two.") == [sound(10)] * 2
    assert 103 <= anyio.current_time() - began_s <= 107


async def test_text_that_was_lost_with_a_voice_is_asked_for_again(witness: Witness) -> None:
    first, second = Impatient(), Follower()
    chain = witness.join("tts", first, second, can=[STREAMING] * 2)

    def start() -> AsyncGenerator[TTSOutput, None]:
        outputs: AsyncGenerator[TTSOutput, None] = chain.stream(spelled("One. ", 5.0, "Two."), SETTINGS)
        return outputs

    async with aclosing(guard(start, first_s=60, patience=Patience(60), useful=bool)) as outputs:
        assert [output async for output in outputs] == [sound(10)] * 2
    assert second.texts == ["One. ", "Two."]
