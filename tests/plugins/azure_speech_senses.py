"""What a stand-in for Azure Speech hears and says.

It hears words of its own: sound of a loudness that stands for the word, `spoken("what", "is")`. It says a
text as a tone that lasts as long as the text is.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final
from xml.etree import ElementTree as ET

WORDS: Final = ("what", "is", "the", "capital", "of", "japan")
WORD_S: Final = 0.35
CHARACTER_S: Final = 0.06
CHUNK_S: Final = 0.1

_STEP: Final = 1_000
_HEARING_HZ: Final = 16_000
_WINDOW_BYTES: Final = _HEARING_HZ // 100 * 2
_SHORTEST_WINDOWS: Final = 5
_PHRASE_ENDS_AFTER_WINDOWS: Final = 50
_TICKS_PER_S: Final = 10_000_000
_TICKS_PER_WINDOW: Final = _TICKS_PER_S // 100


def spoken(*words: str) -> bytes:
    """Say words of `WORDS`, with a little silence after each. PCM as recognisers take it."""
    pcm = bytearray()
    for word in words:
        level = (WORDS.index(word) + 1) * _STEP
        pcm += array("h", [level, -level] * int(_HEARING_HZ * WORD_S / 2)).tobytes()
        pcm += bytes(int(_HEARING_HZ * 0.05) * 2)
    return bytes(pcm)


class Ear:
    """Hears the words of one turn: windows of 10 ms, each as loud as a word, or silent, or noise."""

    def __init__(self, language: str) -> None:
        self._language = {"PrimaryLanguage": {"Language": language}} if language else {}
        self._rest = bytearray()
        self._windows: list[int] = []
        self._phrase_at = 0
        self._told = ""
        self._started = False

    @property
    def heard_windows(self) -> int:
        return len(self._windows)

    def hear(self, pcm: bytes) -> Iterator[tuple[str, Mapping[str, Any]]]:
        self._rest += pcm
        whole = len(self._rest) // _WINDOW_BYTES * _WINDOW_BYTES
        for at in range(0, whole, _WINDOW_BYTES):
            self._windows.append(_loudness(bytes(self._rest[at : at + _WINDOW_BYTES])))
            yield from self._notice()
        del self._rest[:whole]

    def _notice(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        words = self._words()
        if words and not self._started:
            self._started = True
            yield "speech.startDetected", {"Offset": words[0][1] * _TICKS_PER_WINDOW}
        text = " ".join(word for word, _, _ in words)
        if text and text != self._told:
            self._told = text
            yield "speech.hypothesis", {"Id": "1", "Text": text, **self._span(words)}
        if words and len(self._windows) - words[-1][2] >= _PHRASE_ENDS_AFTER_WINDOWS:
            yield self._phrase()

    def finish(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        if self._words():
            yield self._phrase()
        end = len(self._windows) * _TICKS_PER_WINDOW + len(self._rest) * _TICKS_PER_S // _HEARING_HZ // 2
        if self._started:
            yield "speech.endDetected", {"Offset": end}
            status = {"RecognitionStatus": "EndOfDictation", "Offset": end, "Duration": 0}
        else:
            status = {"RecognitionStatus": "InitialSilenceTimeout", "Offset": 0, "Duration": end}
        yield "speech.phrase", {"Id": "1", **status}

    def _phrase(self) -> tuple[str, Mapping[str, Any]]:
        words = self._words()
        text = " ".join(word for word, _, _ in words)
        self._phrase_at = len(self._windows)
        self._told = ""
        span = self._span(words)
        best = {"Confidence": 0.9, "Lexical": text, "ITN": text, "MaskedITN": text, "Display": f"{text}."}
        message = {"Id": "1", "RecognitionStatus": "Success", "DisplayText": f"{text}.", **span}
        return "speech.phrase", {**message, **self._language, "NBest": [best]}

    def _words(self) -> list[tuple[str, int, int]]:
        """The words of the phrase with their first and last windows."""
        found, at = [], self._phrase_at
        for loudness, group in groupby(self._windows[self._phrase_at :]):
            length = len(list(group))
            if 0 < loudness <= len(WORDS) and length >= _SHORTEST_WINDOWS:
                found.append((WORDS[loudness - 1], at, at + length))
            at += length
        return found

    @staticmethod
    def _span(words: list[tuple[str, int, int]]) -> Mapping[str, int]:
        begin, end = words[0][1], words[-1][2]
        return {"Offset": begin * _TICKS_PER_WINDOW, "Duration": (end - begin) * _TICKS_PER_WINDOW}


def _loudness(window: bytes) -> int:
    """The number of a word, from 1; 0 is silence, -1 noise."""
    if window.count(0) == len(window):
        return 0
    levels = {abs(sample) for sample in array("h", window)}
    return levels.pop() // _STEP if len(levels) == 1 else -1


@dataclass(frozen=True, slots=True)
class Speech:
    """What an SSML document asks for."""

    text: str
    rate: float
    rate_hz: int

    @classmethod
    def read(cls, ssml: str, audio_format: str) -> Speech:
        document = ET.fromstring(ssml)
        prosody = next((node for node in document.iter() if node.tag.endswith("prosody")), None)
        rate = float(prosody.get("rate", "1")) if prosody is not None else 1.0
        found = re.fullmatch(r"raw-(\d+)khz-16bit-mono-pcm", audio_format)
        assert found, f"This format is not understood: {audio_format!r}"
        return cls("".join(document.itertext()), rate, int(found[1]) * 1000)

    def chunks(self) -> Iterator[bytes]:
        samples = round(len(self.text) * CHARACTER_S / self.rate * self.rate_hz)
        wave = [round(8_000 * math.sin(at * math.tau / 50)) for at in range(50)]
        sound = array("h", (wave * (samples // 50 + 1))[:samples]).tobytes()
        size = int(self.rate_hz * CHUNK_S) * 2
        return (sound[at : at + size] for at in range(0, len(sound), size))

    def marks(self, from_s: float, until_s: float) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        for word in re.finditer(r"\w+|[^\w\s]", self.text):
            at_s = word.start() * CHARACTER_S / self.rate
            if from_s <= at_s < until_s:
                kind = "WordBoundary" if word.group()[0].isalnum() else "PunctuationBoundary"
                text = {"Text": word.group(), "Length": len(word.group()), "BoundaryType": kind}
                data = {"Offset": round(at_s * _TICKS_PER_S), "Duration": 1_000_000, "text": text}
                found.append({"Type": "WordBoundary", "Data": data})
                data = {"Offset": data["Offset"], "VisemeId": len(word.group()) % 22}
                found.append({"Type": "Viseme", "Data": data})
        return found
