"""The packets that a browser sends, on their way to a call."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest
from aiortc.rtp import RtpPacket

from jackfield.audio.opus import PACKET_S, OpusEncoder
from jackfield.audio.pcm import WIDTH_BYTES
from jackfield_transport_speech_assistant.reception import HEARING_HZ, MAX_WAITING, Reception
from tests.transports.browser import pitch_hz, tone

FRAME_BYTES = round(HEARING_HZ * PACKET_S) * WIDTH_BYTES
PACKETS = OpusEncoder(48_000).encode(tone(440, 0.4) + tone(880, 0.4))


def reception() -> tuple[Reception, list[bytes]]:
    heard: list[bytes] = []
    made = Reception()
    made.hear = heard.append
    return made, heard


def packet(number: int, data: bytes | None = None, *, first: int = 0) -> RtpPacket:
    """The packet of this place in the stream; `first` is the number that the stream begins with."""
    payload = PACKETS[number] if data is None else data
    return RtpPacket(96, sequence_number=(first + number) % 65_536, timestamp=number * 960, payload=payload)


def heard_of(numbers: Sequence[int], *, first: int = 0) -> bytes:
    made, heard = reception()
    for number in numbers:
        assert made.add(packet(number, first=first)) == (False, None), "aiortc is to decode nothing"
    return b"".join(heard)


IN_ORDER = heard_of(range(40))


def test_the_sound_of_each_packet_is_heard_when_it_arrives() -> None:
    made, heard = reception()
    made.add(packet(0))
    assert len(heard) == 1
    assert len(IN_ORDER) == pytest.approx(40 * FRAME_BYTES, abs=FRAME_BYTES)
    assert pitch_hz(IN_ORDER[: len(IN_ORDER) // 2], HEARING_HZ) == pytest.approx(440, rel=0.05)


@pytest.mark.parametrize("first", [0, 65_530], ids=["from-the-first-number", "over-the-last-number"])
def test_packets_that_overtook_others_are_heard_in_their_order(first: int) -> None:
    numbers = [0, 2, 1, 3, 7, 6, 5, 4, *range(8, 40)]
    assert heard_of(numbers, first=first) == IN_ORDER


def test_a_packet_that_comes_twice_is_heard_once() -> None:
    assert heard_of([0, 0, 1, 2, 1, *range(3, 40)]) == IN_ORDER


def test_a_lost_packet_is_waited_for_no_longer_than_80_ms() -> None:
    made, heard = reception()
    made.add(packet(0))
    for number in range(2, 2 + MAX_WAITING):
        made.add(packet(number))
    assert len(heard) == 1
    made.add(packet(2 + MAX_WAITING))
    assert len(heard) == 1 + MAX_WAITING + 1
    made.add(packet(1))  # too late now
    made.add(packet(3 + MAX_WAITING))
    assert len(heard) == 1 + MAX_WAITING + 2


def test_a_stream_that_begins_anew_is_heard() -> None:
    made, heard = reception()
    made.add(packet(0, first=30_000))
    for number in range(6):
        made.add(packet(number, first=5_000))
    assert len(heard) == 7


def test_a_stream_that_leaps_ahead_is_heard() -> None:
    made, heard = reception()
    made.add(packet(0, first=5_000))
    for number in range(6):
        made.add(packet(number, first=30_000))
    assert len(heard) == 7


def test_packets_that_are_no_opus_are_left_out_and_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    made, heard = reception()
    for number, data in enumerate([b"", b"\xff" * 30, b"\xff" * 30]):
        made.add(packet(number, data))
    made.add(packet(3))
    assert len(heard) == 1
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_what_comes_before_anybody_listens_is_not_heard_later() -> None:
    made, heard = reception()
    made.hear = None
    made.add(packet(0))
    made.hear = heard.append
    made.add(packet(1))
    assert len(heard) == 1
