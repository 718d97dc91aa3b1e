"""What a listener at the other end of a wire is sent, and what they have heard, in virtual time."""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator, Callable
from typing import Final

import anyio
import pytest

from jackfield.audio.playback import Playback
from jackfield.testing import VirtualClock

pytestmark = pytest.mark.anyio

RATE_HZ: Final = 8_000
FRAME_BYTES: Final = 320


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Callable[[], VirtualClock]]]:
    return "asyncio", {"loop_factory": VirtualClock}


def sound(seconds: float, start_s: float = 0) -> bytes:
    """Sound in which no two samples near each other are the same, so that places can be told."""
    first, count = round(start_s * RATE_HZ), round(seconds * RATE_HZ)
    return b"".join((at % 65536).to_bytes(2, "little") for at in range(first, first + count))


class Listener:
    """The far end of a wire without delay: plays what comes, second by second, until told to forget it."""

    def __init__(self) -> None:
        self.pieces: list[tuple[float, bytes]] = []
        self.told: list[tuple[float, str]] = []
        self._played = bytearray()
        self._waiting = bytearray()
        self._at_s = 0.0

    def send(self, pcm: bytes) -> None:
        self._listen()
        self.pieces.append((anyio.current_time(), pcm))
        self._waiting += pcm

    def sent(self, item: int) -> None:
        self.told.append((anyio.current_time(), f"sent {item}"))

    def forget(self) -> None:
        self._listen()
        self._waiting.clear()
        self.told.append((anyio.current_time(), "forget"))

    def played(self, item: int) -> None:
        self.told.append((anyio.current_time(), f"played {item}"))

    @property
    def heard(self) -> bytes:
        self._listen()
        return bytes(self._played)

    @property
    def words(self) -> list[str]:
        return [word for _at_s, word in self.told]

    @property
    def times(self) -> list[float]:
        return [at_s for at_s, _word in self.told]

    def _listen(self) -> None:
        now_s = anyio.current_time()
        size = round((now_s - self._at_s) * RATE_HZ) * 2
        if size or not self._waiting:
            self._at_s = now_s
        self._played += self._waiting[:size]
        del self._waiting[:size]


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
async def playback(listener: Listener) -> AsyncIterator[Playback]:
    playback = Playback(RATE_HZ, listener)
    yield playback
    playback.close()


async def test_the_first_frame_is_sent_at_once_and_the_lead_with_it(
    playback: Playback, listener: Listener
) -> None:
    playback.play(1, sound(3))

    assert [at_s for at_s, _pcm in listener.pieces] == [0] * 4
    assert b"".join(pcm for _at_s, pcm in listener.pieces) == sound(0.4)


async def test_it_is_never_further_ahead_than_the_lead_nor_late(
    playback: Playback, listener: Listener
) -> None:
    playback.play(1, sound(3))
    playback.end(1)
    await anyio.sleep(10)

    sent_s = list(itertools.accumulate(len(pcm) / 2 / RATE_HZ for _at_s, pcm in listener.pieces))
    for (at_s, pcm), after_s in zip(listener.pieces, sent_s, strict=True):
        assert at_s <= after_s - len(pcm) / 2 / RATE_HZ
        assert after_s - at_s < 0.4 + 1e-3
    assert len(listener.pieces) == 30
    assert listener.heard == sound(3)


async def test_it_says_when_all_was_sent_and_when_all_was_heard(
    playback: Playback, listener: Listener
) -> None:
    playback.play(1, sound(1))
    playback.end(1)
    await anyio.sleep(10)

    assert listener.words == ["sent 1", "played 1"]
    assert listener.times == pytest.approx([0.6, 1.0])
    assert playback.heard_s() == 1


async def test_a_silent_item_is_heard_but_not_before_end_returns(
    playback: Playback, listener: Listener
) -> None:
    playback.end(1)
    assert listener.words == ["sent 1"]

    await anyio.sleep(0)
    await anyio.sleep(0)
    assert listener.told == [(0, "sent 1"), (0, "played 1")]


async def test_less_than_a_frame_waits_for_more_or_for_the_end(
    playback: Playback, listener: Listener
) -> None:
    playback.play(1, sound(0.019))
    assert listener.pieces == []

    playback.play(1, sound(0.003, 0.019))
    assert listener.heard + listener.pieces[0][1] == sound(0.02)

    playback.end(1)
    assert [len(pcm) for _at_s, pcm in listener.pieces] == [FRAME_BYTES, 32]


async def test_what_was_heard_goes_by_the_clock(playback: Playback) -> None:
    playback.play(1, sound(2))
    await anyio.sleep(0.75)

    assert playback.heard_s() == pytest.approx(0.75)
    assert playback.ahead_s() == pytest.approx(1.25)


async def test_the_clock_stands_still_while_there_is_nothing_to_play(playback: Playback) -> None:
    playback.play(1, sound(1))
    await anyio.sleep(5)
    assert playback.heard_s() == 1

    playback.play(1, sound(1, 1))
    await anyio.sleep(0.5)

    assert playback.heard_s() == pytest.approx(1.5)
    assert playback.ahead_s() == pytest.approx(0.5)


async def test_clearing_forgets_the_rest_and_owes_nothing(playback: Playback, listener: Listener) -> None:
    playback.play(1, sound(2))
    await anyio.sleep(0.5)
    playback.clear()
    playback.play(1, sound(1))
    playback.end(1)
    await anyio.sleep(5)

    assert listener.words == ["forget"]
    assert listener.heard == sound(0.5)
    assert playback.heard_s() == pytest.approx(0.5)
    assert playback.ahead_s() == 0


async def test_the_listener_is_not_told_to_forget_what_was_not_sent(
    playback: Playback, listener: Listener
) -> None:
    playback.play(1, b"")
    playback.clear()

    assert listener.told == []


async def test_after_a_pause_it_goes_on_where_the_listener_heard_it_stop(
    playback: Playback, listener: Listener
) -> None:
    playback.play(1, sound(1))
    await anyio.sleep(0.33)
    playback.pause()
    playback.pause()
    assert playback.heard_s() == pytest.approx(0.33)
    playback.play(1, sound(1, 1))
    playback.end(1)
    await anyio.sleep(5)
    assert listener.words == ["forget"]
    assert playback.ahead_s() == pytest.approx(1.67)

    playback.resume()
    await anyio.sleep(5)

    assert listener.heard == sound(2)
    assert listener.words == ["forget", "sent 1", "played 1"]


async def test_a_pause_after_all_was_sent_has_it_sent_again(playback: Playback, listener: Listener) -> None:
    playback.play(1, sound(0.3))
    playback.end(1)
    await anyio.sleep(0.1)
    playback.pause()
    await anyio.sleep(1)
    playback.resume()
    await anyio.sleep(1)

    assert listener.heard == sound(0.3)
    assert listener.words == ["sent 1", "forget", "sent 1", "played 1"]


async def test_sound_that_comes_during_a_pause_is_kept(playback: Playback, listener: Listener) -> None:
    playback.pause()
    playback.play(1, sound(0.1))
    await anyio.sleep(1)
    assert listener.pieces == []

    playback.resume()
    assert b"".join(pcm for _at_s, pcm in listener.pieces) == sound(0.1)


async def test_clearing_ends_a_pause(playback: Playback, listener: Listener) -> None:
    playback.play(1, sound(1))
    playback.pause()
    playback.clear()
    playback.play(2, sound(0.1))

    assert listener.pieces[-1] == (0, sound(0.1))


async def test_a_new_item_clears_an_earlier_one_and_begins_at_nought(
    playback: Playback, listener: Listener
) -> None:
    playback.play(1, sound(1))
    playback.play(2, sound(0.2))
    assert playback.heard_s() == 0
    playback.end(2)
    playback.play(1, sound(1))
    playback.end(1)
    await anyio.sleep(5)

    assert listener.words == ["forget", "sent 2", "played 2"]
    assert playback.heard_s() == pytest.approx(0.2)


async def test_a_report_sets_the_clock_right(playback: Playback, listener: Listener) -> None:
    playback.play(1, sound(1))
    playback.end(1)
    await anyio.sleep(0.5)
    playback.report(1, 0.3)
    assert playback.heard_s() == pytest.approx(0.3)
    await anyio.sleep(0.1)
    assert playback.heard_s() == pytest.approx(0.4)
    await anyio.sleep(5)

    assert listener.words[-1] == "played 1"
    assert listener.times[-1] == pytest.approx(1.2)


async def test_a_report_of_the_end_is_believed(playback: Playback, listener: Listener) -> None:
    playback.play(1, sound(0.3))
    playback.end(1)
    await anyio.sleep(0.2)
    playback.report(1, 0.3)
    await anyio.sleep(5)

    assert listener.words[-1] == "played 1"
    assert listener.times[-1] == pytest.approx(0.2)


@pytest.mark.parametrize(("reported_s", "believed_s"), [(99.0, 0.9), (-5.0, 0.0)])
async def test_a_report_of_what_cannot_be_is_bounded(
    playback: Playback, reported_s: float, believed_s: float
) -> None:
    playback.play(1, sound(5))
    await anyio.sleep(0.55)
    playback.report(1, reported_s)

    assert playback.heard_s() == pytest.approx(believed_s)
    await anyio.sleep(0.1)
    assert playback.heard_s() == pytest.approx(believed_s + 0.1)


async def test_a_report_about_another_item_does_not_count(playback: Playback) -> None:
    playback.play(2, sound(1))
    await anyio.sleep(0.5)
    playback.report(1, 0.1)

    assert playback.heard_s() == pytest.approx(0.5)


async def test_a_long_item_is_not_kept_in_whole(playback: Playback) -> None:
    playback.play(1, sound(60))
    await anyio.sleep(50)

    assert len(playback._pcm) < 14 * RATE_HZ * 2
    assert playback.heard_s() == pytest.approx(50)


async def test_nothing_happens_after_closing(playback: Playback, listener: Listener) -> None:
    playback.play(1, sound(1))
    pieces = len(listener.pieces)
    playback.close()
    playback.play(2, sound(1))
    playback.resume()
    await anyio.sleep(5)

    assert len(listener.pieces) == pieces
    assert listener.told == []


async def test_a_closed_one_keeps_no_sound_and_knows_what_was_heard(playback: Playback) -> None:
    playback.play(1, sound(10))
    await anyio.sleep(2)
    playback.close()

    assert playback._pcm == b""
    assert playback.heard_s() == pytest.approx(2)
    assert playback.ahead_s() == 0


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_happens_each_item_is_heard_as_it_was_given(seed: int) -> None:
    chance = random.Random(seed)
    listener = Listener()
    playback = Playback(RATE_HZ, listener)
    item, given_s, expected = 1, 0.0, bytearray()
    for _step in range(200):
        await anyio.sleep(chance.randrange(300) / 1000)  # whole samples
        match chance.randrange(8):
            case 0 | 1 | 2 | 3:
                length_s = chance.randrange(500) / 1000
                playback.play(item, sound(length_s, given_s))
                given_s = round(given_s + length_s, 3)
            case 4:
                playback.pause()
            case 5 | 6:
                playback.resume()
            case 7:
                playback.clear()
                expected += sound(given_s)[: round(playback.heard_s() * RATE_HZ) * 2]
                item, given_s = item + 1, 0.0
    playback.resume()
    playback.end(item)
    await anyio.sleep(120)
    expected += sound(given_s)

    assert listener.heard == bytes(expected)
    assert listener.words[-1] == f"played {item}"


async def test_its_times_must_fit_together(listener: Listener) -> None:
    with pytest.raises(ValueError, match=r"0\.1, 0\.2, 0\.02"):
        Playback(RATE_HZ, listener, lead_s=0.1, step_s=0.2)
