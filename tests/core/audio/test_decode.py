"""Decoding: sound, or one of two errors, whatever the bytes are."""

from __future__ import annotations

import random
import struct
import wave
from io import BytesIO

import numpy as np
import pytest

from jackfield.audio.decode import AudioTooLong, Undecodable, decode
from jackfield.audio.pcm import duration_s
from jackfield.audio.sniff import CONTAINERS, Container
from jackfield.testing.recordings import record

RATE_HZ = 48_000
TONE_HZ = 440
LOSSY_TAIL_S = 0.05
ROUNDS = 40


def _tone(length_s: float) -> bytes:
    at_s = np.arange(int(RATE_HZ * length_s)) / RATE_HZ
    return (np.sin(2 * np.pi * TONE_HZ * at_s) * 8_000).astype("<i2").tobytes()


RECORDINGS: dict[Container, bytes] = {container: record(_tone(2.0), container) for container in CONTAINERS}


def _is_sound_or_error(data: bytes) -> None:
    try:
        pcm = decode(data, max_s=10)
    except (Undecodable, AudioTooLong):
        return
    assert pcm
    assert len(pcm) % 2 == 0


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("rate_hz", [8_000, 16_000])
def test_a_recording_becomes_the_same_sound(container: Container, rate_hz: int) -> None:
    pcm = decode(RECORDINGS[container], rate_hz=rate_hz, max_s=10)
    assert duration_s(pcm, rate_hz) == pytest.approx(2.0, abs=LOSSY_TAIL_S)
    middle = np.frombuffer(pcm, "<i2")[rate_hz // 2 : rate_hz // 2 + rate_hz]
    assert int(np.abs(np.fft.rfft(middle)).argmax()) == TONE_HZ
    assert np.abs(middle).max() == pytest.approx(8_000, rel=0.1)


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_recording_cut_off_anywhere_gives_sound_or_an_error(container: Container) -> None:
    data = RECORDINGS[container]
    for part in range(1, ROUNDS):
        _is_sound_or_error(data[: len(data) * part // ROUNDS])


@pytest.mark.parametrize("container", ["webm", "wav", "mp3"])
def test_a_recording_cut_in_half_gives_the_half_that_is_there(container: Container) -> None:
    data = RECORDINGS[container]
    assert duration_s(decode(data[: len(data) // 2], max_s=10), 16_000) == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize("container", CONTAINERS)
def test_flipped_bits_give_sound_or_an_error(container: Container) -> None:
    for seed in range(ROUNDS):
        chance = random.Random(seed)
        data = bytearray(RECORDINGS[container])
        for _ in range(chance.choice([1, 10, 100])):
            data[chance.randrange(12, len(data))] ^= 1 << chance.randrange(8)
        _is_sound_or_error(bytes(data))


@pytest.mark.parametrize("container", CONTAINERS)
def test_overwritten_headers_give_sound_or_an_error(container: Container) -> None:
    for seed in range(ROUNDS):
        chance = random.Random(seed)
        data = bytearray(RECORDINGS[container])
        for _ in range(chance.choice([1, 5, 20])):
            data[chance.randrange(12, 300)] = chance.randrange(256)
        _is_sound_or_error(bytes(data))


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("kept", [12, 64])
def test_random_bytes_behind_a_true_beginning_give_sound_or_an_error(container: Container, kept: int) -> None:
    for seed in range(ROUNDS):
        chance = random.Random(seed)
        _is_sound_or_error(RECORDINGS[container][:kept] + chance.randbytes(chance.randrange(4_000)))


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"hello", b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", random.Random(1).randbytes(5_000)]
)
def test_bytes_that_are_no_recording_are_refused(data: bytes) -> None:
    with pytest.raises(Undecodable):
        decode(data, max_s=10)


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_beginning_and_no_more_is_refused(container: Container) -> None:
    with pytest.raises(Undecodable):
        decode(RECORDINGS[container][:12], max_s=10)


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_recording_over_the_limit_is_refused(container: Container) -> None:
    with pytest.raises(AudioTooLong):
        decode(RECORDINGS[container], max_s=1.5)


def _wav(rate_hz: int, samples: int) -> bytes:
    file = BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate_hz)
        writer.writeframes(bytes(2 * samples))
    return file.getvalue()


def test_a_small_file_that_unpacks_to_hours_is_refused_without_unpacking() -> None:
    packed = record(bytes(2 * 8_000 * 3_600), "flac", rate_hz=8_000)
    assert len(packed) < 1_000_000
    with pytest.raises(AudioTooLong):
        decode(packed, max_s=300)


@pytest.mark.parametrize("rate_hz", [1, 3_999, 2_000_000_000])
def test_an_absurd_rate_is_refused(rate_hz: int) -> None:
    with pytest.raises(Undecodable):
        decode(_wav(rate_hz, 10_000), max_s=300)


def test_a_recording_without_a_sample_is_refused() -> None:
    with pytest.raises(Undecodable):
        decode(_wav(16_000, 0), max_s=300)


def test_a_picture_without_sound_is_refused() -> None:
    import av

    file = BytesIO()
    with av.open(file, "w", format="webm") as target:
        stream = target.add_stream("libvpx", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        target.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        target.mux(stream.encode(None))
    with pytest.raises(Undecodable):
        decode(file.getvalue(), max_s=300)


def test_stereo_becomes_mono() -> None:
    file = BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(2)
        writer.setsampwidth(2)
        writer.setframerate(16_000)
        writer.writeframes(struct.pack("<2h", 1_000, 3_000) * 16_000)
    samples = np.frombuffer(decode(file.getvalue(), max_s=10), "<i2")
    assert len(samples) == 16_000
    assert int(samples[8_000]) == pytest.approx(2_000, abs=2)


def test_a_decoder_that_no_recorder_uses_is_shut_out() -> None:
    import av

    file = BytesIO()
    with av.open(file, "w", format="wav") as target:
        stream = target.add_stream("adpcm_ms", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), "<i2"), format="s16", layout="mono")
        frame.sample_rate = 16_000
        target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    with pytest.raises(Undecodable):
        decode(file.getvalue(), max_s=10)


def test_a_recording_of_which_most_is_damaged_is_refused() -> None:
    data = bytearray(RECORDINGS["aac"])
    start, chance = 0, random.Random(1)
    while start < len(data):
        size = (data[start + 3] & 3) << 11 | data[start + 4] << 3 | data[start + 5] >> 5
        data[start + 7 : start + size] = chance.randbytes(size - 7)
        start += size
    with pytest.raises(Undecodable, match="damaged"):
        decode(bytes(data), max_s=10)
