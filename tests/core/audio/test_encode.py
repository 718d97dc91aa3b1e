"""Encoding: files whose bytes are what their name says."""

from __future__ import annotations

import numpy as np
import pytest

from jackfield.audio.decode import decode
from jackfield.audio.encode import FileFormat, can_encode, encode
from jackfield.audio.pcm import duration_s
from jackfield.audio.sniff import sniff

FORMATS: tuple[FileFormat, ...] = ("mp3", "ogg", "wav", "webm")


def _tone(rate_hz: int) -> bytes:
    at_s = np.arange(rate_hz * 2) / rate_hz
    return (np.sin(2 * np.pi * 440 * at_s) * 8_000).astype("<i2").tobytes()


@pytest.mark.parametrize("container", FORMATS)
@pytest.mark.parametrize("rate_hz", [16_000, 20_000, 22_050, 24_000, 48_000])
def test_sound_of_any_rate_comes_back(container: FileFormat, rate_hz: int) -> None:
    data = encode(_tone(rate_hz), rate_hz, container)
    assert sniff(data) == container
    pcm = decode(data, max_s=10)
    assert duration_s(pcm, 16_000) == pytest.approx(2.0, abs=0.1)
    middle = np.frombuffer(pcm, "<i2")[8_000:24_000]
    assert int(np.abs(np.fft.rfft(middle)).argmax()) == 440


@pytest.mark.parametrize("container", ["mp3", "ogg"])
def test_compressed_files_are_a_fraction_of_the_sound(container: FileFormat) -> None:
    pcm = _tone(22_050)
    assert len(encode(pcm, 22_050, container)) < len(pcm) / 4


@pytest.mark.parametrize("container", FORMATS)
def test_a_single_sample_is_a_file(container: FileFormat) -> None:
    assert sniff(encode(b"\0\0", 22_050, container)) == container


@pytest.mark.parametrize("pcm", [b"", b"\0\0\0"])
def test_no_sound_or_half_a_sample_is_refused(pcm: bytes) -> None:
    with pytest.raises(ValueError, match="whole number of samples"):
        encode(pcm, 16_000, "wav")


@pytest.mark.parametrize("container", FORMATS)
def test_this_installation_can_write_every_format(container: FileFormat) -> None:
    assert can_encode(container)
