"""Packets of Opus: there and back."""

from __future__ import annotations

import itertools
import math
from array import array

import pytest

from jackfield.audio.decode import Undecodable
from jackfield.audio.opus import MAX_PACKET_BYTES, OPUS_RATES_HZ, OpusDecoder, OpusEncoder


def tone(rate_hz: int, seconds: float, frequency_hz: float = 400) -> bytes:
    steps = range(round(rate_hz * seconds))
    return array(
        "h", (round(9000 * math.sin(math.tau * frequency_hz * at / rate_hz)) for at in steps)
    ).tobytes()


def crossings(pcm: bytes) -> int:
    samples = array("h", pcm)
    return sum(a < 0 <= b for a, b in itertools.pairwise(samples))


@pytest.mark.parametrize("rate_hz", OPUS_RATES_HZ)
def test_a_tone_is_the_same_tone_afterwards(rate_hz: int) -> None:
    packets = OpusEncoder(rate_hz).encode(tone(rate_hz, 1))
    decoder = OpusDecoder()
    pcm = b"".join(map(decoder.decode, packets))

    assert len(packets) == 50
    assert sum(map(len, packets)) < 10_000
    assert len(pcm) == decoder.rate_hz * 2
    assert abs(crossings(pcm) - 400) <= 8


def test_a_packet_comes_out_for_every_twenty_milliseconds_that_go_in() -> None:
    encoder = OpusEncoder(16_000)

    assert [len(encoder.encode(tone(16_000, 0.02))) for _frame in range(5)] == [1] * 5


def test_silence_fills_up_the_last_packet() -> None:
    encoder = OpusEncoder(16_000)

    assert [len(encoder.encode(tone(16_000, seconds))) for seconds in (0, 0.001, 0.041)] == [0, 1, 3]


def test_bytes_that_are_no_packet_are_refused_and_the_next_packet_is_decoded() -> None:
    decoder = OpusDecoder()
    (packet,) = OpusEncoder(16_000).encode(tone(16_000, 0.02))

    for junk in (b"", b"\xff\xff\xff", b"\xfc" * (MAX_PACKET_BYTES + 1)):
        with pytest.raises(Undecodable):
            decoder.decode(junk)
        assert len(decoder.decode(packet)) == 960 * 2


def test_a_rate_that_opus_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="22050"):
        OpusEncoder(22_050)
