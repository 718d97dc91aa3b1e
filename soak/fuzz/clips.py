"""Fuzzing recordings: files of every format that is taken, damaged, come to every door that takes them."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from random import Random
from typing import Final

import httpx

from jackfield.audio.sniff import CONTAINERS, Container
from jackfield.testing.recordings import record
from soak.fuzz.findings import Findings
from soak.fuzz.house import House

_AT_ONCE: Final = 2
_RATE_HZ: Final = 48_000
_SLOW_S: Final = 10.0
"""A damaged recording may not take longer than that."""
_PATHS: Final = ("/relay/chat", "/proxy-devices/chat", "/relay-people/chat")
_FORM: Final = {"type": "voice", "sessionId": "s", "username": "n"}
_LABELS: Final[Mapping[Container, str]] = {
    "webm": "audio/webm;codecs=opus",
    "ogg": "audio/ogg",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "mp4": "audio/mp4",
    "aac": "audio/aac",
    "flac": "audio/flac",
}
_FOREIGN: Final[Sequence[bytes]] = [
    b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n",
    b"ffconcat version 1.0\nfile /etc/passwd\n",
    b"\x1a\x45\xdf\xa3",
    b"RIFF\xff\xff\xff\xffWAVE",
    b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00" + b"\xff" * 6 + b"\x00" * 8 + b"data",
    b"\x00\x00\x00\x18ftypM4A \x00\x00\x00\x00M4A mp42\xff\xff\xff\xffmoov",
    b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f",
    b"fLaC\x80\xff\xff\xff" + b"\xff" * 40,
    b"OggS" + b"\x00" * 60,
    b"\x00" * 5_000,
    b"SOAK-UNWANTED-UPLOAD",
]


@cache
def recordings() -> Mapping[Container, bytes]:
    """A third of a second of sound in each format."""
    wave = array("h", (round(9_000 * math.sin(at / 9)) for at in range(_RATE_HZ // 3)))
    return {container: record(wave.tobytes(), container, rate_hz=_RATE_HZ) for container in CONTAINERS}


def fuzz_clips(house: House, seed: int, cases: range, findings: Findings) -> None:
    """Send damaged recordings; the same number of the same seed is the same recording."""

    def run(number: int) -> None:
        dice = Random(f"{seed}-{number}")
        container = CONTAINERS[number % len(CONTAINERS)]
        path = dice.choice(_PATHS)
        place = f"recording {number} of seed {seed}, {container} to {path}"
        answer = _sent(house, path, container, _damaged(recordings()[container], dice), dice)
        findings.counts[f"{container} answered {answer.status_code}"] += 1
        if answer.status_code >= 500 or not answer.headers["content-type"].startswith("application/json"):
            findings.wrong.append(f"{place}: {answer.status_code} {answer.text[:200]}")
        if answer.elapsed.total_seconds() > _SLOW_S:
            findings.wrong.append(f"{place}: took {answer.elapsed.total_seconds():.1f} s")

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(run, cases))


def check_clips(house: House, findings: Findings) -> None:
    """Send each recording as it should be, to each door."""
    for path in _PATHS:
        for container, data in recordings().items():
            answer = _sent(house, path, container, data, Random(0))
            if answer.status_code != 200 or answer.json()["type"] != "voice":
                findings.wrong.append(
                    f"a good {container} to {path}: {answer.status_code} {answer.text[:200]}"
                )


def _sent(house: House, path: str, container: Container, data: bytes, dice: Random) -> httpx.Response:
    mount = f"/{path.split('/')[1]}"
    label = (
        _LABELS[container] if dice.random() < 0.9 else dice.choice(("", "audio/webm", "text/html", "\x7f"))
    )
    form: dict[str, tuple[str | None, bytes | str, str] | tuple[None, str]] = {
        name: (None, value) for name, value in {**_FORM, "userId": house.subjects.get(mount, "u")}.items()
    }
    form["audio"] = ("voice", data, label)
    return house.client.post(path, files=form, headers=house.headers(mount))


def _damaged(data: bytes, dice: Random) -> bytes:
    found = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 5))):
        if found:
            dice.choice(_DAMAGES)(found, dice)
    return bytes(found)


def _cut(data: bytearray, dice: Random) -> None:
    del data[dice.randrange(len(data)) :]


def _flip(data: bytearray, dice: Random) -> None:
    for _ in range(dice.randint(1, 40)):
        data[dice.randrange(len(data))] = dice.randrange(256)


def _confuse(data: bytearray, dice: Random) -> None:
    """Change what stands at the beginning: sizes, rates, counts of channels."""
    for _ in range(8):
        data[dice.randrange(min(200, len(data)))] = dice.choice((0, 1, 127, 128, 255))


def _blot(data: bytearray, dice: Random) -> None:
    at = dice.randrange(len(data))
    data[at : at + dice.randint(1, 400)] = b"\xff" * dice.randint(0, 400)


def _insert(data: bytearray, dice: Random) -> None:
    at = dice.randrange(len(data))
    data[at:at] = dice.choice((dice.randbytes(dice.randint(1, 200)), data[: dice.randint(1, 400)]))


def _cross(data: bytearray, dice: Random) -> None:
    """Put the beginning of one format before the rest of another."""
    data[12:] = dice.choice(list(recordings().values()))[12:]


def _swap(data: bytearray, dice: Random) -> None:
    if dice.random() < 0.3:
        data[:] = dice.choice(_FOREIGN)


_DAMAGES: Final[Sequence[Callable[[bytearray, Random], None]]] = [
    _cut,
    _flip,
    _confuse,
    _blot,
    _insert,
    _cross,
    _swap,
]
