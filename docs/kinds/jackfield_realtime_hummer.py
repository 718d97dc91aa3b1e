"""Hummer: a speech-to-speech model that hums a tone for each word, and says how long somebody spoke.

It needs no service. It follows no instructions, and calls no tools.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import AsyncGenerator
from contextlib import suppress
from itertools import count
from types import TracebackType
from typing import Final, Self

import anyio
import anyio.lowlevel
from jackfield import Options, PluginInfo, ProviderRefused, Site, hookimpl
from jackfield.contracts.realtime import (
    RealtimeAudio,
    RealtimeOutput,
    RealtimeSettings,
    RealtimeSpeech,
    RealtimeText,
)
from jackfield.contracts.stt import Transcript
from pydantic import Field

RATE_HZ: Final = 24_000
WORD_S: Final = 0.2
PAUSE_S: Final = 0.5
LOUD: Final = 1_000
MOST_WAITING: Final = 100


class HummerOptions(Options):
    """What an operator may set under `[realtime.options]`."""

    tone_hz: int = Field(default=300, ge=100, le=4_000, description="Pitch of the humming, in hertz.")


class HummerRealtime:
    """Hums."""

    def __init__(self, options: HummerOptions) -> None:
        step = math.tau * options.tone_hz / RATE_HZ
        samples = range(round(RATE_HZ * WORD_S))
        self._hum = array("h", (round(6_000 * math.sin(step * at)) for at in samples)).tobytes()

    def session(self, settings: RealtimeSettings) -> HummerSession:
        return HummerSession(self._hum)


class HummerSession:
    """One conversation."""

    rate_hz: Final = RATE_HZ

    def __init__(self, hum: bytes) -> None:
        self._hum = hum
        self._put, self._news = anyio.create_memory_object_stream[RealtimeOutput | str](MOST_WAITING)
        self._items = count(1)
        self._answering = ""
        self._spoken_s = 0.0
        self._silent_s = 0.0

    def push(self, pcm: bytes) -> None:
        took_s = len(pcm) / 2 / RATE_HZ
        if max(array("h", pcm), default=0) > LOUD:
            if not self._spoken_s:
                self._answering = ""  # whoever begins to speak is not spoken to
                self._tell(RealtimeSpeech("started"))
            self._spoken_s += took_s
            self._silent_s = 0.0
        elif self._spoken_s:
            self._silent_s += took_s
            if self._silent_s >= PAUSE_S:
                self._tell(RealtimeSpeech("stopped"))
                self._tell(Transcript("", "final"))  # it does not know the words
                self._tell(f"You spoke for {self._spoken_s:.1f} seconds.")
                self._spoken_s = 0.0

    def _tell(self, news: RealtimeOutput | str) -> None:
        with suppress(anyio.WouldBlock):  # nobody reads: then it is not worth keeping
            self._put.send_nowait(news)

    async def interrupt(self, heard_ms: int) -> None:
        self._answering = ""

    async def update(self, settings: RealtimeSettings) -> None:
        pass  # nothing of them makes a difference to it

    async def inject(self, text: str) -> None:
        try:
            self._put.send_nowait(f"You wrote: {text}")
        except anyio.WouldBlock:
            raise ProviderRefused(f"{MOST_WAITING} messages are waiting already. Let it answer.") from None

    async def tool_result(self, call_id: str, result: str) -> None:
        raise ProviderRefused("No tool was called, so none has a result.")

    async def __aiter__(self) -> AsyncGenerator[RealtimeOutput, None]:
        async for news in self._news:
            if not isinstance(news, str):
                yield news
                continue
            item = self._answering = f"answer-{next(self._items)}"
            for word in news.split():
                await anyio.lowlevel.checkpoint()  # others run meanwhile, and here a cancellation arrives
                if self._answering != item:
                    break
                yield RealtimeText(item, f"{word} ")
                yield RealtimeAudio(item, self._hum)
            yield RealtimeText(item, "", done=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._put.close()
        self._news.close()


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="realtime",
        name="hummer",
        summary="Hums its answers.",
        options=HummerOptions,
    )


@hookimpl
def make_realtime(options: HummerOptions, site: Site) -> HummerRealtime:
    return HummerRealtime(options)
