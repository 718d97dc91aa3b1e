"""Kinds of callers: who says that speech has ended, in which format, with or without a loudspeaker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from bench.call_floor import Silero
from bench.call_speech import room_noise, speech
from jackfield.audio.opus import OpusEncoder
from jackfield.audio.resample import resample
from jackfield.models import locate
from soak.caller import FRAME_S, Manner
from soak.line import binary

_RATE_HZ: Final = 16_000
_UTTERANCES: Final = 6
_ROOM_FRAMES: Final = 250
"""Of 20 ms."""

Cut = Callable[[bytes], Sequence[bytes]]
"""From PCM at 16000 Hz to messages of `FRAME_S` seconds."""


def manners() -> Sequence[Manner]:
    """All kinds; the recorded voices are people's."""
    spoken = speech(Silero(str(locate("silero-vad"))), _UTTERANCES)
    room = b"".join(room_noise(_ROOM_FRAMES))
    return [
        _manner("explicit", spoken, b"", _pcm(16_000), turns="explicit", audio_in=_format(16_000)),
        _manner("explicit, 8 kHz", spoken, b"", _pcm(8_000), turns="explicit", audio_in=_format(8_000)),
        _manner("explicit, open", spoken, room, _pcm(16_000), turns="explicit", stt="partials"),
        _manner("explicit, Opus", spoken, b"", _opus, turns="explicit", **_opus_both_ways()),
        _manner(
            "explicit, 48 kHz out", spoken, b"", _pcm(16_000), turns="explicit", audio_out=_format(48_000)
        ),
        _manner("explicit, silent", spoken, b"", _pcm(16_000), turns="explicit", audio_out=None),
        _manner("Silero", spoken, room, _pcm(16_000)),
        _manner("Silero, partials", spoken, room, _pcm(16_000), stt="partials", tts="slow"),
        _manner("Silero, 24 kHz", spoken, room, _pcm(24_000), audio_in=_format(24_000)),
    ]


def browser_manners() -> Sequence[Manner]:
    """How browsers talk: packets of Opus, one each 20 ms, which are sent as they are."""
    spoken = speech(Silero(str(locate("silero-vad"))), _UTTERANCES)
    room = b"".join(room_noise(_ROOM_FRAMES))
    quiet, *utterances = (OpusEncoder(_RATE_HZ).encode(pcm) for pcm in (room, *spoken))
    return [Manner("WebRTC", {}, quiet, utterances)]


def _format(rate_hz: int) -> dict[str, object]:
    return {"format": "pcm_s16le", "rate_hz": rate_hz}


def _opus_both_ways() -> dict[str, object]:
    return {"audio_in": {"format": "opus"}, "audio_out": {"format": "opus"}}


def _manner(name: str, spoken: Sequence[bytes], room: bytes, cut: Cut, **start: object) -> Manner:
    return Manner(name, start, cut(room), [cut(each) for each in spoken])


def _pcm(rate_hz: int) -> Cut:
    size = round(rate_hz * FRAME_S) * 2

    def cut(pcm: bytes) -> Sequence[bytes]:
        sound = resample(pcm, _RATE_HZ, rate_hz) if pcm and rate_hz != _RATE_HZ else pcm
        return [binary(sound[at : at + size]) for at in range(0, len(sound), size)]

    return cut


def _opus(pcm: bytes) -> Sequence[bytes]:
    packets = [binary(packet) for packet in OpusEncoder(_RATE_HZ).encode(pcm)]
    return list(_pairs(packets))


def _pairs(packets: Sequence[bytes]) -> Iterator[bytes]:
    for at in range(0, len(packets), 2):
        yield b"".join(packets[at : at + 2])
