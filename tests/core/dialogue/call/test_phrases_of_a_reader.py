"""Endpointing over what the real detector says of a person's voice."""

from __future__ import annotations

import importlib.util
import logging
import os
from typing import Final, get_args

import pytest

from jackfield import Site
from jackfield.dialogue.call.endpointing import CallState, Ended, Endpointing, Pace, Started
from jackfield.models import is_fetched
from jackfield_vad_silero import SileroOptions, make_vad
from tests.voices import recording

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

if not os.environ.get("CI"):
    if any(importlib.util.find_spec(part) is None for part in ("threadpoolctl", "moonshine_voice")):
        pytest.skip("Needs threadpoolctl and moonshine_voice.", allow_module_level=True)
    if not is_fetched("silero-vad"):
        pytest.skip("Needs a model: jackfield models fetch silero-vad", allow_module_level=True)

WINDOW_S: Final = 0.032
WINDOW_BYTES: Final = 1024


async def test_a_reader_is_heard_phrase_by_phrase() -> None:
    pcm = recording("two_cities") + bytes(16 * WINDOW_BYTES)
    vad = make_vad(SileroOptions(), Site("vad", "silero", logging.getLogger(__name__)))
    pace = Pace(0.064, 0.128, 0.32, 0.5, 0.35)
    machine = Endpointing(dict.fromkeys(get_args(CallState), pace), WINDOW_S)
    events = []
    async with vad:
        stream = vad.stream()
        for number in range(len(pcm) // WINDOW_BYTES):
            window = pcm[number * WINDOW_BYTES : (number + 1) * WINDOW_BYTES]
            events.append(machine.push((number + 1) * WINDOW_S, stream.feed(window)))
    ended = [event for event in events if isinstance(event, Ended)]
    assert len(ended) == sum(isinstance(event, Started) for event in events)
    assert len(ended) == 13
    assert sum(event.spoken_s for event in ended) == pytest.approx(34.6, abs=1.5)
