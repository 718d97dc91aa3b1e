"""Leaving out the silence at the end of sound."""

from __future__ import annotations

import numpy as np
import pytest

from jackfield.audio.silence import EndTrimmer

RATE_HZ = 16_000


def tone(seconds: float, loudness: int = 8_000) -> bytes:
    times = np.arange(int(seconds * RATE_HZ))
    return bytes((loudness * np.sin(times * 0.3)).astype("<i2").tobytes())


def quiet(seconds: float) -> bytes:
    return tone(seconds, 40)


def trimmed(pcm: bytes, chunk_bytes: int) -> bytes:
    trimmer = EndTrimmer(RATE_HZ)
    chunks = (pcm[start : start + chunk_bytes] for start in range(0, len(pcm), chunk_bytes))
    return b"".join([*map(trimmer.feed, chunks), trimmer.end()])


@pytest.mark.parametrize("chunk_bytes", [2, 320, 2_000, 1_000_000])
def test_silence_at_the_end_is_left_out_and_no_other(chunk_bytes: int) -> None:
    pcm = quiet(0.2) + tone(0.5) + quiet(0.2) + tone(0.1) + quiet(0.4)

    found = trimmed(pcm, chunk_bytes)

    assert pcm.startswith(found)
    assert len(found) / 2 / RATE_HZ == pytest.approx(1.03, abs=0.001)


def test_sound_is_given_as_soon_as_it_comes() -> None:
    trimmer = EndTrimmer(RATE_HZ)

    assert len(trimmer.feed(tone(0.1))) > 0.099 * RATE_HZ * 2
    assert trimmer.feed(quiet(0.1)) == b""
    assert len(trimmer.feed(tone(0.1))) > 0.199 * RATE_HZ * 2


def test_sound_without_silence_at_its_end_is_given_as_it_is() -> None:
    assert trimmed(tone(0.3), 640) == tone(0.3)


@pytest.mark.parametrize("pcm", [b"", bytes(6_400)])
def test_silence_alone_is_given_as_it_is(pcm: bytes) -> None:
    assert trimmed(pcm, 640) == pcm
