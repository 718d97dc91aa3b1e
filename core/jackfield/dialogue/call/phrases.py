"""Fixed phrases, such as greetings and apologies: spoken once and kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import anyio
from anyio.lowlevel import checkpoint

from jackfield.assembly import Built
from jackfield.audio.pcm import WIDTH_BYTES
from jackfield.audio.resample import Resampler, resample
from jackfield.contracts.extension import Event
from jackfield.contracts.failover import Failover
from jackfield.contracts.tts import TTS, SpeechSettings, Voice
from jackfield.dialogue.call.mouth import Mouth
from jackfield.dialogue.call.script import Script
from jackfield.dialogue.failures import report
from jackfield.dialogue.waterfall import Waterfall

_NOTES_HZ: Final = (659.3, 493.9)
"""Two notes, a fourth apart, downwards: what people take for "that did not work"."""
_NOTE_S: Final = 0.32
_SECOND_NOTE_AT_S: Final = 0.2
_FADE_IN_S: Final = 0.012
_LOUDNESS: Final = 5_000
_TONE_HZ: Final = 24_000

_Original = tuple[str, Voice, str]
"""Section of the voice, who speaks, what is said."""


@dataclass(slots=True)
class _Attempt:
    """Somebody is having a phrase spoken."""

    over: anyio.Event = field(default_factory=anyio.Event)
    failed: bool = False


class Phrases:
    """Phrases as they sound, in PCM, kept for all calls: at most `max_bytes`, those used last.

    `first_s` is how long a voice may be silent while it speaks one, `failover_s` how long one that has a next
    in its chain; `publish` is told of failures, `used` how many seconds of sound were made.
    """

    def __init__(
        self,
        *,
        first_s: float,
        publish: Callable[[Event], None],
        used: Callable[[Built[TTS], float], None],
        failover_s: float = 3.0,
        max_bytes: int = 32_000_000,
    ) -> None:
        self._first_s = first_s
        self._failover = Failover(failover_s)
        self._publish = publish
        self._used = used
        self._max_bytes = max_bytes
        self._kept: OrderedDict[tuple[_Original, int], bytes] = OrderedDict()
        self._kept_bytes = 0
        self._attempts: dict[_Original, _Attempt] = {}

    async def sound(self, tts: Built[TTS], voice: Voice, text: str, rate_hz: int) -> bytes:
        """Give a phrase as PCM at `rate_hz`; nothing for a text with nothing to say.

        When the voice fails, and the phrase is not kept, it is two falling notes instead. Several callers
        who want the same phrase at once have it spoken once. Never raises because of the voice.
        """
        if not any(map(str.isalnum, text)):
            return b""
        original = (tts.section, voice, text)
        if (pcm := self._find(original, rate_hz)) is not None:
            return pcm
        voice_hz = tts.object.rate_hz(voice)
        pcm = await self._spoken(tts, original, voice_hz)
        if pcm is None:
            return error_tone(rate_hz)
        if rate_hz == voice_hz:
            return pcm
        pcm = await _resampled(pcm, voice_hz, rate_hz)
        self._keep(original, rate_hz, pcm)
        return pcm

    async def prepare(self, tts: Built[TTS], voice: Voice, *texts: str) -> None:
        """Have phrases spoken one after the other, so that `sound` has them at once later."""
        voice_hz = tts.object.rate_hz(voice)
        for text in texts:
            await self.sound(tts, voice, text, voice_hz)

    async def _spoken(self, tts: Built[TTS], original: _Original, voice_hz: int) -> bytes | None:
        """Give a phrase at the voice's own rate; None when the voice failed."""
        while True:
            if (pcm := self._find(original, voice_hz)) is not None:
                return pcm
            other = self._attempts.get(original)
            if other is None:
                return await self._attempt(tts, original, voice_hz)
            await other.over.wait()
            if other.failed:
                return None  # else it is kept now, or who tried was cancelled

    async def _attempt(self, tts: Built[TTS], original: _Original, voice_hz: int) -> bytes | None:
        attempt = self._attempts[original] = _Attempt()
        try:
            pcm = await self._speak(tts, original, voice_hz)
        except Exception as error:  # noqa: BLE001  # a broken voice costs the phrase, not the call
            attempt.failed = True
            report(tts, error, self._publish)
            return None
        else:
            self._keep(original, voice_hz, pcm)
            return pcm
        finally:
            del self._attempts[original]
            attempt.over.set()

    async def _speak(self, tts: Built[TTS], original: _Original, voice_hz: int) -> bytes:
        _, voice, text = original
        pcm = bytearray()
        mouth = Mouth(
            tts,
            SpeechSettings(voice, failover=self._failover),
            rate_hz=voice_hz,
            sink=pcm.extend,
            ahead_s=_never_ahead,
            ahead_limit_s=0.0,
            first_s=self._first_s,
            waterfall=Waterfall(),
        )
        script = Script()
        await script.write(text)
        script.end()
        await mouth.speak(script)
        self._used(tts, mouth.given_s)
        return bytes(pcm)

    def _find(self, original: _Original, rate_hz: int) -> bytes | None:
        pcm = self._kept.get((original, rate_hz))
        if pcm is not None:
            self._kept.move_to_end((original, rate_hz))
        return pcm

    def _keep(self, original: _Original, rate_hz: int, pcm: bytes) -> None:
        replaced = self._kept.pop((original, rate_hz), b"")
        self._kept[original, rate_hz] = pcm
        self._kept_bytes += len(pcm) - len(replaced)
        while self._kept_bytes > self._max_bytes:
            _, dropped = self._kept.popitem(last=False)
            self._kept_bytes -= len(dropped)


@lru_cache(maxsize=8)
def error_tone(rate_hz: int) -> bytes:
    """Give two soft falling notes, half a second of PCM, for when there is no voice to say what is wrong."""
    import numpy as np

    times_s = np.arange(int(_NOTE_S * _TONE_HZ)) / _TONE_HZ
    rise = np.minimum(times_s / _FADE_IN_S, 1.0)
    fall = np.cos(np.pi / 2 * times_s / _NOTE_S) ** 2
    samples = np.zeros(int((_SECOND_NOTE_AT_S + _NOTE_S) * _TONE_HZ))
    for at_s, note_hz in zip((0.0, _SECOND_NOTE_AT_S), _NOTES_HZ, strict=True):
        turns = 2 * np.pi * note_hz * times_s
        start = int(at_s * _TONE_HZ)
        samples[start : start + len(times_s)] += rise * fall * (np.sin(turns) + 0.2 * np.sin(2 * turns))
    return resample((_LOUDNESS * samples).astype("<i2").tobytes(), _TONE_HZ, rate_hz)


def _never_ahead() -> float:
    return 0.0


async def _resampled(pcm: bytes, from_hz: int, to_hz: int) -> bytes:
    """Change the rate, a second at a time, so that others have their turn."""
    resampler = Resampler(from_hz, to_hz)
    second_bytes = from_hz * WIDTH_BYTES
    found = bytearray()
    for start in range(0, len(pcm), second_bytes):
        found += resampler.feed(pcm[start : start + second_bytes])
        await checkpoint()
    return bytes(found + resampler.flush())
