"""Telling recordings apart by their bytes."""

from __future__ import annotations

import pytest

from jackfield.audio.sniff import (
    ACCEPTED_MEDIA_TYPES,
    CONTAINERS,
    Container,
    matches_label,
    pcm_rate_hz,
    sniff,
)
from jackfield.testing.recordings import record

SILENCE = bytes(2 * 4_800)


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_recording_is_told_by_its_first_bytes(container: Container) -> None:
    assert sniff(record(SILENCE, container)[:12]) == container


def test_an_mp3_without_a_tag_is_told_by_its_frame() -> None:
    assert sniff(b"\xff\xfb\x90\xc4") == "mp3"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"\xff\xff\xff\xff",
        b"\xff\xe8\x00\x00",
        b"RIFF\0\0\0\0AVI ",
        b"#EXTM3U\n/etc/passwd",
        b"MZ\x90\0",
    ],
)
def test_other_bytes_are_no_recording(data: bytes) -> None:
    assert sniff(data) is None


@pytest.mark.parametrize("label", ACCEPTED_MEDIA_TYPES)
def test_every_accepted_label_has_a_container(label: str) -> None:
    assert any(matches_label(label, container) for container in CONTAINERS)


def test_a_label_may_carry_a_codec_and_capitals() -> None:
    assert matches_label("Audio/WebM; codecs=opus", "webm")


@pytest.mark.parametrize("label", [None, "", "application/octet-stream"])
def test_without_a_label_the_bytes_decide(label: str | None) -> None:
    assert matches_label(label, "flac")


@pytest.mark.parametrize(
    ("label", "container"),
    [("audio/wav", "mp3"), ("audio/mpeg", "aac"), ("image/png", "webm"), ("audio", "ogg")],
)
def test_a_label_that_the_bytes_belie_does_not_match(label: str, container: Container) -> None:
    assert not matches_label(label, container)


def test_safari_may_send_mp4_or_a_bare_stream_as_aac() -> None:
    assert matches_label("audio/aac", "mp4")
    assert matches_label("audio/aac", "aac")


@pytest.mark.parametrize(
    ("label", "rate_hz"),
    [
        ("audio/l16; rate=16000", 16_000),
        ("audio/L16;rate=48000;channels=1", 48_000),
        ("audio/l16; rate=16000; channels=2", None),
        ("audio/l16; rate=7999", None),
        ("audio/l16; rate=48001", None),
        ("audio/l16", None),
        ("audio/wav; rate=16000", None),
    ],
)
def test_the_rate_of_bare_sound_is_in_its_label(label: str, rate_hz: int | None) -> None:
    assert pcm_rate_hz(label) == rate_hz
