"""Mu-law against the values of the recommendation and against FFmpeg's codec."""

from __future__ import annotations

import array
import sys
from itertools import pairwise

import av
import pytest

from jackfield.audio.mulaw import decode_mulaw, encode_mulaw
from tests.voices import recording

EVERY_CODE = bytes(range(256))


def pcm(*samples: int) -> bytes:
    values = array.array("h", samples)
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def samples(sound: bytes) -> list[int]:
    values = array.array("h", sound)
    if sys.byteorder == "big":
        values.byteswap()
    return list(values)


@pytest.mark.parametrize(
    ("sample", "code"),
    [(0, 0xFF), (1000, 0xCE), (-1000, 0x4E), (32767, 0x80), (-32768, 0x00), (-4, 0x7E), (8, 0xFE)],
)
def test_a_sample_has_the_code_of_the_recommendation(sample: int, code: int) -> None:
    assert encode_mulaw(pcm(sample)) == bytes([code])


def test_a_code_has_the_sample_of_the_recommendation() -> None:
    assert samples(decode_mulaw(bytes([0xCE, 0x4E, 0x80, 0x00, 0xFF, 0x7F]))) == [
        988,
        -988,
        32124,
        -32124,
        0,
        0,
    ]


def test_every_code_decodes_as_with_ffmpeg() -> None:
    codec = av.CodecContext.create("pcm_mulaw", "r")
    assert isinstance(codec, av.AudioCodecContext)
    codec.sample_rate = 8_000
    codec.layout = "mono"
    (frame,) = codec.decode(av.Packet(EVERY_CODE))

    assert decode_mulaw(EVERY_CODE) == bytes(frame.planes[0])[:512]


def test_every_code_but_the_second_zero_survives_the_way_there_and_back() -> None:
    again = encode_mulaw(decode_mulaw(EVERY_CODE))

    assert [code for code in EVERY_CODE if again[code] != code] == [0x7F]


def test_louder_samples_never_get_quieter_codes() -> None:
    heard = samples(decode_mulaw(encode_mulaw(pcm(*range(-32768, 32768)))))

    assert all(quieter <= louder for quieter, louder in pairwise(heard))


def test_a_voice_stays_within_the_error_of_the_code() -> None:
    voice = recording("two_cities", 8_000)
    heard = samples(decode_mulaw(encode_mulaw(voice)))

    assert all(
        abs(before - after) <= abs(before) / 16 + 8
        for before, after in zip(samples(voice), heard, strict=True)
    )


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="got 3 bytes"):
        encode_mulaw(b"abc")


def test_nothing_comes_of_nothing() -> None:
    assert encode_mulaw(b"") == decode_mulaw(b"") == b""
