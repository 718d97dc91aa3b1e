"""Streams of sound from one rate to another."""

from __future__ import annotations

import random
import time
from itertools import permutations

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from jackfield.audio.resample import Resampler, resample

RATES_HZ = (8_000, 16_000, 22_050, 24_000, 48_000)
PAIRS = [*permutations(RATES_HZ, 2)]


def tone(rate_hz: int, seconds: float = 1.0, frequency_hz: float = 300.0) -> bytes:
    times_s = np.arange(int(rate_hz * seconds)) / rate_hz
    return (10_000 * np.sin(2 * np.pi * frequency_hz * times_s)).astype("<i2").tobytes()


def samples(pcm: bytes) -> NDArray[np.float64]:
    return np.frombuffer(pcm, "<i2").astype(np.float64)


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_sound_lasts_as_long_as_before(from_hz: int, to_hz: int) -> None:
    pcm = resample(tone(from_hz, 1.5), from_hz, to_hz)

    assert len(pcm) / 2 / to_hz == pytest.approx(1.5, abs=0.001)


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_a_tone_stays_the_same_tone_at_the_same_time(from_hz: int, to_hz: int) -> None:
    found = samples(resample(tone(from_hz), from_hz, to_hz))
    wanted = samples(tone(to_hz))[: len(found)]
    inside = slice(to_hz // 20, len(wanted) - to_hz // 20)

    noise = found[inside] - wanted[inside]

    assert np.sqrt(np.mean(noise**2)) < 10  # 57 dB below the tone


@pytest.mark.parametrize(("from_hz", "to_hz"), [*PAIRS, (16_000, 16_000)])
def test_how_the_sound_is_cut_makes_no_difference(from_hz: int, to_hz: int) -> None:
    pcm = tone(from_hz)
    chance = random.Random(f"{from_hz} {to_hz}")
    cuts = sorted(2 * chance.randrange(len(pcm) // 2) for _ in range(60))
    resampler = Resampler(from_hz, to_hz)

    parts = [resampler.feed(pcm[a:b]) for a, b in zip([0, *cuts], [*cuts, len(pcm)], strict=True)]

    assert b"".join(parts) + resampler.flush() == resample(pcm, from_hz, to_hz)


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_hardly_any_sound_is_held_back(from_hz: int, to_hz: int) -> None:
    resampler = Resampler(from_hz, to_hz)
    pcm = tone(from_hz)
    fed_s = given_s = most_s = 0.0

    for start in range(0, len(pcm), from_hz // 50 * 2):
        frame = pcm[start : start + from_hz // 50 * 2]
        fed_s += len(frame) / 2 / from_hz
        given_s += len(resampler.feed(frame)) / 2 / to_hz
        most_s = max(most_s, fed_s - given_s)

    assert most_s < 0.0025


def test_equal_rates_give_the_very_bytes_back() -> None:
    resampler = Resampler(16_000, 16_000)
    frame = tone(16_000, 0.02)

    assert resampler.feed(frame) is frame
    assert resampler.flush() == b""


def test_after_a_flush_a_new_stream_begins() -> None:
    resampler = Resampler(48_000, 16_000)
    first = resampler.feed(tone(48_000)) + resampler.flush()

    again = resampler.feed(tone(48_000)) + resampler.flush()

    assert again == first


@pytest.mark.parametrize("rates", [(8_000, 48_000), (48_000, 8_000)])
def test_nothing_comes_of_nothing(rates: tuple[int, int]) -> None:
    resampler = Resampler(*rates)

    assert resampler.flush() == b""
    assert resampler.feed(b"") == b""
    assert resampler.flush() == b""


@pytest.mark.parametrize("samples_in", [1, 2, 15, 16, 17, 50])
@pytest.mark.parametrize("rates", [(8_000, 16_000), (22_050, 16_000), (48_000, 8_000)])
def test_a_few_samples_alone_do_no_harm(rates: tuple[int, int], samples_in: int) -> None:
    pcm = resample(bytes(2 * samples_in), *rates)

    assert abs(len(pcm) / 2 / rates[1] - samples_in / rates[0]) < 0.0025


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="whole samples of 2 bytes; got 3 bytes"):
        Resampler(8_000, 16_000).feed(b"\0\0\0")


@pytest.mark.parametrize("rates", [(0, 16_000), (16_000, 1_000_000)])
def test_an_absurd_rate_is_refused(rates: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="rates from 4000 to 192000 Hz"):
        Resampler(*rates)


def test_a_frame_costs_far_less_than_it_lasts() -> None:
    resampler = Resampler(24_000, 16_000)
    frame = tone(24_000, 0.02)
    best_s = 1.0

    for _ in range(50):
        began_s = time.perf_counter()
        resampler.feed(frame)
        best_s = min(best_s, time.perf_counter() - began_s)

    assert best_s < 0.001


def test_a_stream_takes_no_threads() -> None:
    resamplers = [Resampler(24_000, 16_000)]  # the first may start what the library needs for itself
    before = psutil.Process().num_threads()

    resamplers += [Resampler(24_000, 16_000) for _ in range(10)]
    for resampler in resamplers:
        resampler.feed(tone(24_000, 0.02))

    assert psutil.Process().num_threads() == before
