"""Beeps: a recogniser that hears how often somebody beeped, and nothing else. It needs no model.

One class takes whole utterances, the other listens while the sound comes in; a plugin needs one of them.
"""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final, Literal, Self

import anyio
import anyio.from_thread
import anyio.to_thread
from jackfield import Capabilities, Options, PluginInfo, Site, hookimpl
from jackfield.contracts.stt import (
    STT,
    STT_RATE_HZ,
    Transcript,
    TranscriptionSettings,
    WholeUtteranceSTT,
)
from pydantic import Field

SECOND_BYTES: Final = STT_RATE_HZ * 2
WINDOW_BYTES: Final = SECOND_BYTES // 50
LOUD: Final = 1_000
MOST_AT_ONCE: Final = 2
MOST_UNREAD: Final = 1_000


class BeepsOptions(Options):
    """What an operator may set under `[stt.options]`."""

    live: bool = Field(default=False, description="Whether to count while the sound still comes in.")


class BeepCounter:
    """Counts the beeps in sound that comes in any pieces."""

    def __init__(self) -> None:
        self._beeps = 0
        self._loud = False
        self._rest = b""

    def add(self, pcm: bytes) -> bool:
        """Take more sound; gives whether there was another beep."""
        before, sound = self._beeps, self._rest + pcm
        whole_bytes = len(sound) - len(sound) % WINDOW_BYTES
        for at in range(0, whole_bytes, WINDOW_BYTES):
            loud = max(array("h", sound[at : at + WINDOW_BYTES])) > LOUD
            self._beeps += loud and not self._loud
            self._loud = loud
        self._rest = sound[whole_bytes:]
        return self._beeps > before

    @property
    def text(self) -> str:
        """A word for each."""
        return " ".join(["beep"] * self._beeps)


class BeepsSTT(WholeUtteranceSTT):
    """Counts the beeps of an utterance once that is over."""

    def __init__(self) -> None:
        self._places = anyio.CapacityLimiter(MOST_AT_ONCE)

    async def recognize(self, pcm: bytes, settings: TranscriptionSettings) -> Transcript:
        text = await anyio.to_thread.run_sync(_count, pcm, limiter=self._places)
        return Transcript(text, "final", end_s=len(pcm) / SECOND_BYTES)


def _count(pcm: bytes) -> str:
    counter = BeepCounter()
    for at in range(0, len(pcm), SECOND_BYTES):
        anyio.from_thread.check_cancelled()  # nobody waits for it any more: stop here
        counter.add(pcm[at : at + SECOND_BYTES])
    return counter.text


class LiveBeepsSTT:
    """Counts while the sound comes in."""

    def stream(self, settings: TranscriptionSettings) -> BeepsStream:
        return BeepsStream()


class BeepsStream:
    """One speaker, for a whole call."""

    def __init__(self) -> None:
        self._told, self._transcripts = anyio.create_memory_object_stream[Transcript](MOST_UNREAD)
        self._begin()

    def _begin(self) -> None:
        self._counter = BeepCounter()
        self._bytes = 0

    def push(self, pcm: bytes) -> None:
        self._bytes += len(pcm)
        if self._counter.add(pcm):
            self._tell("partial")

    def checkpoint(self) -> None:
        self._tell("tentative")

    def end_utterance(self, *, unchanged: bool = False) -> None:
        self._tell("final")  # counted already, so it makes no difference whether anything changed
        self._begin()

    def _tell(self, kind: Literal["partial", "tentative", "final"]) -> None:
        transcript = Transcript(self._counter.text, kind, end_s=self._bytes / SECOND_BYTES)
        self._told.send_nowait(transcript)

    def __aiter__(self) -> AsyncIterator[Transcript]:
        return self._transcripts

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._told.close()
        self._transcripts.close()


def _capabilities(options: BeepsOptions) -> Capabilities:
    if options.live:
        return Capabilities(streaming=True)
    return Capabilities(max_concurrency=MOST_AT_ONCE)


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="stt",
        name="beeps",
        summary="Hears beeps.",
        options=BeepsOptions,
        capabilities=_capabilities,
    )


@hookimpl
def make_stt(options: BeepsOptions, site: Site) -> STT:
    return LiveBeepsSTT() if options.live else BeepsSTT()
