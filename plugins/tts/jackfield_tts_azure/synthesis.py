"""What a text becomes, on its way from threads of the SDK to whoever listens."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from dataclasses import replace
from heapq import heappop, heappush
from typing import Final

import anyio

from jackfield import ProviderError, ProviderTimedOut, ProviderUnavailable
from jackfield.contracts.tts import SpeechMark, TTSOutput
from jackfield_tts_azure.synthesiser import Completed, Connected, Event

_WIDTH_BYTES: Final = 2


class Synthesis:
    """One text. Made on the event loop; `tell` may be called in any thread."""

    def __init__(self, rate_hz: int, *, connect_s: float, timeout_s: float) -> None:
        self._rate_hz = rate_hz
        self._connect_s = connect_s
        self._timeout_s = timeout_s
        self._connected = False
        self._loop = asyncio.get_running_loop()
        self._chunks: deque[bytes] = deque()
        self._half = b""
        """Of a sample that two chunks share."""
        self._marks: list[tuple[float, int, SpeechMark]] = []
        self._mark_count = 0
        self._marked_s = 0.0
        self._samples = 0
        self._end: Completed | ProviderError | None = None
        self._wake = anyio.Event()

    def tell(self, event: Event) -> None:
        """Hand an event over."""
        with suppress(RuntimeError):  # the event loop is gone, and with it whoever listened
            self._loop.call_soon_threadsafe(self._take, event)

    def _take(self, event: Event) -> None:
        if isinstance(event, bytes):
            self._chunks.append(event)
        elif isinstance(event, SpeechMark):
            self._mark_count += 1
            heappush(self._marks, (event.at_s, self._mark_count, event))
        elif isinstance(event, Connected):
            self._connected = True
        elif self._end is None:
            self._end = event
        self._wake.set()

    async def outputs(self) -> AsyncGenerator[TTSOutput, None]:
        """Yield the sound, each mark before the chunk that it is in."""
        while True:
            if self._chunks:
                pcm = self._whole_samples(self._chunks.popleft())
                self._samples += len(pcm) // _WIDTH_BYTES
                for mark in self._due():
                    yield mark
                if pcm:
                    yield pcm
            elif isinstance(self._end, ProviderError):
                raise self._end
            elif self._end is not None:
                for mark in self._due():  # those that came after the last chunk
                    yield mark
                return
            else:
                await self._news()

    def _whole_samples(self, chunk: bytes) -> bytes:
        chunk = self._half + chunk
        whole = len(chunk) // _WIDTH_BYTES * _WIDTH_BYTES
        self._half = chunk[whole:]
        return chunk[:whole]

    def _due(self) -> Iterator[SpeechMark]:
        """Yield the marks in the sound so far, in their order even if one came late."""
        until_s = self._samples / self._rate_hz
        while self._marks and self._marks[0][0] < until_s:
            mark = heappop(self._marks)[2]
            self._marked_s = max(self._marked_s, mark.at_s)
            yield replace(mark, at_s=self._marked_s)

    async def _news(self) -> None:
        self._wake = anyio.Event()
        connected = self._connected
        with anyio.move_on_after(self._timeout_s if connected else self._connect_s):
            await self._wake.wait()
            return
        if connected:
            self._end = ProviderTimedOut(f"Azure Speech made no sound for {self._timeout_s:g} s.")
        else:  # the SDK does not always tell that a connection is refused
            self._end = ProviderUnavailable(
                f"There was no connection to Azure Speech within {self._connect_s:g} s. "
                "Check `region` or `host`, and the network."
            )
