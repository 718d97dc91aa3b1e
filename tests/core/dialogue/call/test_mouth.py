"""The voice of an answer: order, pace, positions and failures."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from jackfield.assembly import Built
from jackfield.contracts.tts import TTS, SpeechMark, SpeechSettings, TTSOutput, Voice
from jackfield.dialogue.call.mouth import Mouth
from jackfield.dialogue.call.script import Script
from jackfield.dialogue.waterfall import Waterfall
from jackfield.errors import ProviderBadReply, ProviderRefused, ProviderTimedOut, ProviderUnavailable
from jackfield.plugin import Capabilities
from jackfield.testing.virtual_clock import VirtualClock
from jackfield_tts_tone import ToneOptions, ToneTTS

pytestmark = pytest.mark.anyio

RATE_HZ = 16_000
SECOND = bytes(2 * RATE_HZ)
TONE = b"\x00\x10\x00\xf0" * (RATE_HZ // 2)
"""A second too."""


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


Step = TTSOutput | float | Exception
"""An output, seconds to wait, or a failure."""


@dataclass
class Practised:
    """A voice that does for each text, or each attempt at it, what is written down."""

    steps: Callable[[str], Sequence[Step]]
    texts: list[str] = field(default_factory=list)
    closed: int = 0

    def rate_hz(self, voice: Voice) -> int:
        return RATE_HZ

    async def synthesize(self, text: str, settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
        self.texts.append(text)
        try:
            for step in self.steps(text):
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, float):
                    await anyio.sleep(step)
                else:
                    yield step
        finally:
            self.closed += 1


@dataclass
class Incremental(Practised):
    """Says a second for each piece of text, as it comes; fails first as often as `failures` says."""

    failures: int = 0
    deaf_s: float = 0.0

    async def stream(
        self, pieces: AsyncIterator[str], settings: SpeechSettings
    ) -> AsyncGenerator[TTSOutput, None]:
        async for piece in pieces:
            self.texts.append(piece)
            if self.failures:
                self.failures -= 1
                raise ProviderUnavailable("not now")
            await anyio.sleep(self.deaf_s)
            yield SECOND


class Eager(Practised):
    """Says twenty seconds for the first piece of text, and one for each other, reading on meanwhile."""

    async def stream(
        self, pieces: AsyncIterator[str], settings: SpeechSettings
    ) -> AsyncGenerator[TTSOutput, None]:
        self.texts.append(await anext(pieces))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._read, pieces)
            yield SECOND * 20
            yield SECOND
        for _ in self.texts[1:]:
            yield SECOND

    async def _read(self, pieces: AsyncIterator[str]) -> None:
        self.texts += [piece async for piece in pieces]


class Leg:
    """Takes sound and hears it at the speed of sound."""

    def __init__(self, rate_hz: int = RATE_HZ) -> None:
        self.rate_hz = rate_hz
        self.chunks: list[tuple[float, bytes]] = []
        self.began_s = 0.0

    def sink(self, pcm: bytes) -> None:
        if not self.chunks:
            self.began_s = anyio.current_time()
        self.chunks.append((anyio.current_time(), pcm))

    @property
    def pcm(self) -> bytes:
        return b"".join(pcm for _, pcm in self.chunks)

    @property
    def given_s(self) -> float:
        return len(self.pcm) / 2 / self.rate_hz

    def ahead_s(self) -> float:
        return max(0.0, self.given_s - (anyio.current_time() - self.began_s)) if self.chunks else 0.0


def mouth_of(
    tts: TTS,
    leg: Leg,
    *,
    ahead_limit_s: float = 10.0,
    streaming: bool = False,
    waterfall: Waterfall | None = None,
) -> Mouth:
    return Mouth(
        Built("tts", "voice", Capabilities(streaming=streaming), tts),
        SpeechSettings(),
        rate_hz=leg.rate_hz,
        sink=leg.sink,
        ahead_s=leg.ahead_s,
        ahead_limit_s=ahead_limit_s,
        first_s=5.0,
        waterfall=waterfall or Waterfall(),
    )


async def say(mouth: Mouth, *pieces: str) -> None:
    script = Script()
    for piece in pieces:
        await script.write(piece)
    script.end()
    await mouth.speak(script)


@asynccontextmanager
async def saying(mouth: Mouth) -> AsyncGenerator[Callable[[str], Awaitable[None]], None]:
    """Speak what is given to the function, until the block ends."""
    script = Script()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(mouth.speak, script)
        yield script.write
        script.end()


async def test_pieces_are_spoken_one_after_the_other() -> None:
    tts, leg = Practised(lambda text: [SECOND]), Leg()
    mouth = mouth_of(tts, leg)

    await say(mouth, "One two. ", "Three four. ", "Five.")

    assert tts.texts == ["One two.", "Three four.", "Five."]
    assert leg.given_s == mouth.given_s == 3.0
    assert mouth.text == "One two. Three four. Five."
    assert mouth.heard_text(2.0) == "One two. Three four."


@pytest.mark.parametrize(("piece", "end_s"), [("One two ", 1.03), ("One two, ", 1.5), ("One two. ", 1.5)])
async def test_a_piece_that_breaks_off_is_followed_without_a_pause(piece: str, end_s: float) -> None:
    tts, leg = Practised(lambda text: [TONE, SECOND[:RATE_HZ]] if text != "three." else [TONE]), Leg()
    mouth = mouth_of(tts, leg)

    await say(mouth, piece, "three.")

    assert leg.given_s == pytest.approx(end_s + 1.0)
    assert mouth.heard_text(end_s) == piece.strip()


async def test_sound_comes_at_the_rate_of_the_leg() -> None:
    tts = ToneTTS(ToneOptions(rate_hz=24_000, character_ms=100))
    leg = Leg(8_000)

    await say(mouth_of(tts, leg), "Ten chars.", "Ten chars.")

    assert leg.given_s == pytest.approx(2.0, abs=0.001)


async def test_long_sound_is_given_in_short_chunks() -> None:
    tts, leg = Practised(lambda text: [SECOND * 5]), Leg(8_000)

    await say(mouth_of(tts, leg), "One.")

    assert max(len(pcm) for _, pcm in leg.chunks) <= 1_640
    assert leg.given_s == pytest.approx(5.0, abs=0.001)


async def test_others_have_their_turn_while_long_sound_is_resampled() -> None:
    tts, leg = Practised(lambda text: [SECOND * 5]), Leg(8_000)
    seen: set[int] = set()

    async def look() -> None:
        while len(seen) < 20:
            seen.add(len(leg.chunks))
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look)
        await say(mouth_of(tts, leg), "One.")


async def test_the_next_piece_is_made_while_this_one_plays() -> None:
    tts, leg = Practised(lambda text: [0.5, SECOND, SECOND]), Leg()

    await say(mouth_of(tts, leg), "One.", "Two.")

    assert [at_s for at_s, _ in leg.chunks] == pytest.approx([0.5] * 20 + [1.0] * 20)


async def test_the_voice_rests_while_the_listener_is_far_behind() -> None:
    tts, leg = Practised(lambda text: [SECOND] * 4), Leg()

    await say(mouth_of(tts, leg, ahead_limit_s=2.0), "One.", "Two.")

    seconds = [leg.chunks[at][0] for at in range(0, 80, 10)]
    assert seconds == pytest.approx([0, 0, 0, 1, 2, 3, 4, 5], abs=0.06)


async def test_the_wait_for_the_listener_is_not_the_voices() -> None:
    tts, leg = Practised(lambda text: [SECOND * 20, SECOND]), Leg()

    await say(mouth_of(tts, leg, ahead_limit_s=1.0), "One.")

    assert leg.given_s == 21


async def test_the_first_sentence_is_noted() -> None:
    leg = Leg()
    waterfall = Waterfall(clock=anyio.current_time)
    mouth = mouth_of(Practised(lambda text: [1.0, SECOND]), leg, waterfall=waterfall)

    async with saying(mouth) as say_piece:
        await anyio.sleep(0.25)
        await say_piece("One.")

    assert waterfall.seconds() == pytest.approx({"first_sentence": 0.25})


async def test_a_hanging_voice_is_given_up() -> None:
    tts = Practised(lambda text: [1000.0])

    with pytest.raises(ProviderTimedOut):
        await say(mouth_of(tts, Leg()), "One.")

    assert anyio.current_time() == pytest.approx(5.0)
    assert tts.closed == 1


async def test_a_voice_that_hangs_in_the_middle_is_given_up() -> None:
    leg = Leg()
    mouth = mouth_of(Practised(lambda text: [1.0, SECOND, 2.0, SECOND, 1000.0, SECOND]), leg)

    with pytest.raises(ProviderTimedOut):
        await say(mouth, "One two three four five six seven.")

    assert anyio.current_time() == pytest.approx(8.0)
    assert "One two three four five six seven.".startswith(mouth.heard_text(2.0))


async def test_a_failure_that_may_pass_is_tried_again() -> None:
    attempts: list[Sequence[Step]] = [[ProviderUnavailable("not now")], [SECOND]]
    tts, leg = Practised(lambda text: attempts.pop(0)), Leg()

    await say(mouth_of(tts, leg), "One.")

    assert leg.given_s == 1.0


async def test_marks_of_a_failed_attempt_are_forgotten() -> None:
    failed: list[Step] = [SpeechMark("word", "six", 0.3), ProviderUnavailable("not now")]
    attempts: list[Sequence[Step]] = [failed, [SpeechMark("word", "six", 0.7), SECOND]]
    mouth = mouth_of(Practised(lambda text: attempts.pop(0)), Leg())

    await say(mouth, "Five six.")

    assert mouth.heard_text(0.69) == ""
    assert mouth.heard_text(0.71) == "Five"


async def test_attempts_do_not_outlast_the_time_limit() -> None:
    tts = Practised(lambda text: [3.0, ProviderUnavailable("not now")])

    with pytest.raises(ProviderTimedOut):
        await say(mouth_of(tts, Leg()), "One.")

    assert anyio.current_time() == pytest.approx(5.0)


@pytest.mark.parametrize("outputs", [[b"\0"], [SECOND, b"123"], ["sound"], [12]])
async def test_garbage_is_refused(outputs: list[Any]) -> None:
    tts, leg = Practised(lambda text: outputs), Leg()

    with pytest.raises(ProviderBadReply, match="whole samples"):
        await say(mouth_of(tts, leg), "One.")


async def test_a_voice_without_a_sound_has_failed() -> None:
    with pytest.raises(ProviderBadReply, match="no sound"):
        await say(mouth_of(Practised(lambda text: [b"", b""]), Leg()), "One.", "Two.")


async def test_nothing_to_say_is_no_failure() -> None:
    leg = Leg()
    mouth = mouth_of(Practised(lambda text: []), leg)

    await say(mouth)

    assert (leg.chunks, mouth.text, mouth.heard_text(1.0)) == ([], "", "")


async def test_a_failure_goes_up_and_nothing_more_is_read() -> None:
    tts = Practised(lambda text: [ProviderRefused("no such voice")])
    script = Script()
    await script.write("One.")
    with pytest.raises(ProviderRefused):
        await mouth_of(tts, Leg()).speak(script)

    await script.write("Two.")

    assert await script.read() is None


async def test_cancelled_the_voice_is_closed_and_what_was_said_known() -> None:
    tts, leg = Practised(lambda text: [SECOND, 3.0]), Leg()
    mouth = mouth_of(tts, leg)

    with anyio.move_on_after(2.0) as scope:
        await say(mouth, "One.", "Two.")

    assert scope.cancelled_caught
    assert tts.closed == 1
    assert leg.given_s == 1.0
    assert mouth.text == "One."


async def test_what_is_not_complete_yet_is_not_taken_for_heard() -> None:
    mouth = mouth_of(Practised(lambda text: [SECOND, 3.0]), Leg())
    text = "one two three four five six seven eight nine ten"

    with anyio.move_on_after(1.0):
        await say(mouth, text)

    assert mouth.heard_text(1.0) == "one two three"  # 48 characters take about three seconds


async def test_what_plays_after_a_failure_is_not_taken_for_the_text() -> None:
    mouth = mouth_of(Practised(lambda text: [SECOND, ProviderRefused("enough")]), Leg())

    with pytest.raises(ProviderRefused):
        await say(mouth, "one two three four five six seven eight nine ten")

    assert mouth.heard_text(3.0) == "one two three"


async def test_an_incremental_voice_is_given_the_pieces_as_they_come() -> None:
    tts, leg = Incremental(lambda text: []), Leg()
    mouth = mouth_of(tts, leg, streaming=True)

    async with saying(mouth) as say_piece:
        await say_piece("One two. ")
        await anyio.sleep(20.0)  # far longer than the voice may take
        assert (tts.texts, leg.given_s) == (["One two. "], 1.0)
        await say_piece("Three four.")

    assert (tts.texts, leg.given_s) == (["One two. ", "Three four."], 2.0)
    assert mouth.text == mouth.heard_text(2.0) == "One two. Three four."


async def test_an_incremental_voice_that_fails_is_given_all_text_again() -> None:
    tts, leg = Incremental(lambda text: [], failures=1), Leg()
    mouth = mouth_of(tts, leg, streaming=True)

    await say(mouth, "One. ", "Two.")

    assert tts.texts == ["One. ", "One. ", "Two."]
    assert mouth.text == "One. Two."


async def test_an_incremental_voice_that_hangs_is_given_up() -> None:
    tts, leg = Incremental(lambda text: [], deaf_s=1000.0), Leg()

    with pytest.raises(ProviderTimedOut):
        await say(mouth_of(tts, leg, streaming=True), "One. ", "Two.")

    assert anyio.current_time() == pytest.approx(5.0)


async def test_an_incremental_voice_without_text_is_not_asked() -> None:
    tts, leg = Incremental(lambda text: []), Leg()

    await say(mouth_of(tts, leg, streaming=True))

    assert (tts.texts, leg.chunks) == ([], [])


async def test_an_incremental_voice_may_read_ahead_while_it_rests() -> None:
    tts, leg = Eager(lambda text: []), Leg()

    async with saying(mouth_of(tts, leg, ahead_limit_s=1.0, streaming=True)) as say_piece:
        await say_piece("One. ")
        await anyio.sleep(1.0)  # the voice rests now, for longer than it may take
        await say_piece("Two.")

    assert leg.given_s == 22.0


async def test_the_first_sound_is_on_its_way_before_more_is_made() -> None:
    log: list[str] = []
    given = anyio.Event()

    class Voice(Practised):
        async def synthesize(self, text: str, settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
            yield TONE[:3200]
            log.append("made more")
            yield TONE[:3200]

    async def send() -> None:
        await given.wait()
        log.append("sent")

    class Door(Leg):
        def sink(self, pcm: bytes) -> None:
            super().sink(pcm)
            given.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send)
        await anyio.wait_all_tasks_blocked()
        await say(mouth_of(Voice(lambda text: []), Door()), "One two.")

    assert log == ["sent", "made more"]
