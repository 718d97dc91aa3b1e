"""The track that a browser hears."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiortc.mediastreams import MediaStreamError
from av.packet import Packet

from jackfield_transport_speech_assistant.track import RATE_HZ, VoiceTrack
from tests.transports.browser import tone

pytestmark = pytest.mark.anyio

SILENCE = b"\xf8\xff\xfe"


async def packets(track: VoiceTrack, count: int) -> list[Packet[Any]]:
    return [await track.recv() for _ in range(count)]


async def test_sound_comes_in_packets_of_20_ms_and_silence_after_it() -> None:
    track = VoiceTrack()
    track.put(tone(500, 0.05, rate_hz=RATE_HZ))
    found = await packets(track, 4)
    assert [bytes(packet) == SILENCE for packet in found] == [False, False, False, True]
    assert [packet.pts for packet in found] == [0, 960, 1920, 2880]
    track.stop()


async def test_packets_come_at_the_speed_of_sound() -> None:
    track = VoiceTrack()
    began_s = asyncio.get_running_loop().time()
    await packets(track, 6)
    assert asyncio.get_running_loop().time() - began_s >= 0.1 - 0.005
    track.stop()


async def test_what_was_dropped_is_not_heard() -> None:
    track = VoiceTrack()
    track.put(tone(500, 0.2, rate_hz=RATE_HZ))
    first = await track.recv()
    track.drop()
    second = await track.recv()
    assert (bytes(first) == SILENCE, bytes(second) == SILENCE) == (False, True)
    track.stop()


async def test_a_track_that_was_stopped_gives_nothing() -> None:
    track = VoiceTrack()
    track.stop()
    with pytest.raises(MediaStreamError):
        await track.recv()
