"""A speech-to-speech model that hears, says and fails what a test tells it to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from math import inf
from types import TracebackType
from typing import Final, Self

import anyio

from jackfield.contracts.realtime import (
    RealtimeAudio,
    RealtimeOutput,
    RealtimeSettings,
    RealtimeSpeech,
    RealtimeText,
    RealtimeUsage,
)
from jackfield.contracts.stt import Transcript

MODEL_HZ: Final = 24_000


class DuetSession:
    """One session, and what was done with it."""

    rate_hz = MODEL_HZ

    def __init__(self, settings: RealtimeSettings, failure: Exception | None, delay_s: float) -> None:
        self.settings = settings
        self.pushed = bytearray()
        self.interrupted: list[int] = []
        self.injected: list[str] = []
        self.updates: list[RealtimeSettings] = []
        self.results: list[tuple[str, str]] = []
        self.said: list[str] = []
        self.commits = 0
        self._failure = failure
        self._delay_s = delay_s
        self._send, self._receive = anyio.create_memory_object_stream[RealtimeOutput | Exception](inf)

    # What the test does.

    def tell(self, *outputs: RealtimeOutput | Exception) -> None:
        for output in outputs:
            self._send.send_nowait(output)

    def hear(self, text: str | None) -> None:
        """Notice somebody who says this; None leaves the words for later."""
        self.tell(RealtimeSpeech("started"), RealtimeSpeech("stopped"))
        if text is not None:
            self.write(text)

    def write(self, text: str) -> None:
        self.tell(Transcript(text, "final"))

    def speak(self, item: str, text: str, seconds: float, *, done: bool = True) -> None:
        """Say something all at once."""
        self.tell(RealtimeText(item, text))
        pcm = b"\x00\x10" * round(seconds * MODEL_HZ)
        self.tell(*(RealtimeAudio(item, pcm[at : at + 9600]) for at in range(0, len(pcm), 9600)))
        if done:
            self.tell(RealtimeText(item, "", done=True), RealtimeUsage(20, 30))

    # What the core does.

    def push(self, pcm: bytes) -> None:
        self.pushed += pcm

    async def interrupt(self, heard_ms: int) -> None:
        self.interrupted.append(heard_ms)

    async def update(self, settings: RealtimeSettings) -> None:
        self.updates.append(settings)

    async def inject(self, text: str) -> None:
        self.injected.append(text)

    async def tool_result(self, call_id: str, result: str) -> None:
        self.results.append((call_id, result))

    async def commit(self) -> None:
        self.commits += 1

    async def say(self, text: str) -> None:
        self.said.append(text)

    def __aiter__(self) -> AsyncIterator[RealtimeOutput]:
        return self._outputs()

    async def _outputs(self) -> AsyncIterator[RealtimeOutput]:
        async for output in self._receive:
            if isinstance(output, Exception):
                raise output
            yield output

    async def __aenter__(self) -> Self:
        try:
            await anyio.sleep(self._delay_s)
            if self._failure is not None:
                raise self._failure
        except BaseException:
            self._close()
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        self._send.close()
        self._receive.close()


class Duet:
    """The model. Each of `failures` is what the next session fails of as it opens."""

    def __init__(self, *failures: Exception | None, delay_s: float = 0.0) -> None:
        self.sessions: list[DuetSession] = []
        self._failures = list(failures)
        self.delay_s = delay_s

    @property
    def now(self) -> DuetSession:
        """The newest session."""
        return self.sessions[-1]

    def session(self, settings: RealtimeSettings) -> DuetSession:
        failure = self._failures.pop(0) if self._failures else None
        self.sessions.append(DuetSession(settings, failure, self.delay_s))
        return self.now
