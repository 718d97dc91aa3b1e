"""Text that comes in pieces, for voices one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import anyio

from jackfield.audio.pcm import WIDTH_BYTES
from jackfield.contracts.tts import TTS, SpeechMark, SpeechSettings, TTSOutput


class SpokenText:
    """Remembers what has come, so that whoever reads later begins at the beginning. One reader at a time."""

    def __init__(self, pieces: AsyncIterator[str]) -> None:
        self._pieces = pieces
        self._known: list[str] = []
        self._ended = False
        self._reading = False
        self._busy_since_s = 0.0
        self.lost = False
        """Whether a reader was cancelled while it waited: who makes the pieces may be gone with it."""

    @property
    def speakable(self) -> bool:
        """Whether there is anything to say in what has come."""
        return any(character.isalnum() for piece in self._known for character in piece)

    def busy_since(self) -> float | None:
        """Since when the reader has text that it was given, in the event loop's time; None while it waits."""
        return None if self._reading else self._busy_since_s

    async def read(self) -> AsyncGenerator[str, None]:
        """Yield all pieces, those that have come at once."""
        self._busy_since_s = anyio.current_time()
        at = 0
        while at < len(self._known) or await self._more():
            at += 1
            yield self._known[at - 1]

    async def _more(self) -> bool:
        """Wait for another piece; says whether there was one."""
        if self._ended:
            return False
        self._reading = True
        try:
            self._known.append(await anext(self._pieces))
        except StopAsyncIteration:
            self._ended = True
        except asyncio.CancelledError:
            self.lost = True
            raise
        finally:
            self._reading = False
            self._busy_since_s = anyio.current_time()
        return not self._ended


async def piecewise(
    tts: TTS, pieces: AsyncGenerator[str, None], settings: SpeechSettings
) -> AsyncGenerator[TTSOutput, None]:
    """Have a voice that wants whole texts speak each piece by itself."""
    bytes_per_s = tts.rate_hz(settings.voice) * WIDTH_BYTES
    spoken_bytes = 0
    async with aclosing(pieces):
        async for piece in pieces:
            began_s = spoken_bytes / bytes_per_s
            async with aclosing(tts.synthesize(piece.strip(), settings)) as outputs:
                async for output in outputs:
                    if isinstance(output, SpeechMark):
                        yield replace(output, at_s=began_s + output.at_s)
                    else:
                        spoken_bytes += len(output)
                        yield output
