"""The track that a browser hears."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import anyio
import pytest
from aiortc.mediastreams import MediaStreamError
from av.packet import Packet

from jackfield_transport_speech_assistant.track import RATE_HZ, VoiceTrack
from tests.transports.browser import tone

pytestmark = pytest.mark.anyio

SILENCE = b"\xf8\xff\xfe"


async def packets(track: VoiceTrack, count: int) -> list[Packet[Any]]:
    return [await track.recv() for _ in range(count)]


def ticks_between(found: list[Packet[Any]]) -> list[int]:
    return [(after.pts or 0) - (before.pts or 0) for before, after in pairwise(found)]


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


async def test_in_a_long_silence_there_is_a_packet_each_400_ms() -> None:
    track = VoiceTrack()
    gaps = ticks_between(await packets(track, 12))
    assert gaps[:9] == [960] * 9
    assert all(gap >= (400 - 20) * 48 for gap in gaps[9:])
    track.stop()


async def test_sound_that_ends_a_long_silence_is_played_at_once_and_from_its_beginning() -> None:
    track = VoiceTrack()
    await packets(track, 10)
    began_s = asyncio.get_running_loop().time()
    async with anyio.create_task_group() as tasks:
        found: list[Packet[Any]] = []

        async def listen() -> None:
            found.extend(await packets(track, 3))

        tasks.start_soon(listen)
        await anyio.wait_all_tasks_blocked()
        track.put(tone(500, 0.06, rate_hz=RATE_HZ))
    assert asyncio.get_running_loop().time() - began_s < 0.3
    assert SILENCE not in map(bytes, found)
    assert ticks_between(found) == [960, 960]
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
