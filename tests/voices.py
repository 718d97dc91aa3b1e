"""People's voices, and how alike two texts are."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import Final

from jackfield.audio.decode import decode

DATA: Final = Path(__file__).parent / "data"
RECORDINGS: Final = ("two_cities", "endgame_nagg_nell")
"""Recordings of people reading aloud; what they say is in tests/data."""


@cache
def recording(name: str, rate_hz: int = 16_000) -> bytes:
    """Give a person's voice, PCM at `rate_hz`."""
    found = importlib.util.find_spec("moonshine_voice")  # only its recordings are used
    assert found is not None
    assert found.submodule_search_locations is not None
    file = Path(found.submodule_search_locations[0]) / "assets" / f"{name}.wav"
    return decode(file.read_bytes(), rate_hz=rate_hz, max_s=300)


def spoken_text(name: str) -> str:
    """What is said in a recording."""
    return (DATA / f"{name}.txt").read_text()


def words(text: str) -> str:
    """Leave lower-case words and the spaces between them."""
    return " ".join(re.findall(r"[a-z0-9']+", text.lower()))
