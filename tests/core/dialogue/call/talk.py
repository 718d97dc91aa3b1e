"""A call to talk in: a service with the parts that a test wants, a user with a voice, and a leg that keeps
what was heard. For tests under a virtual clock.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio

from jackfield.assembly import Built, Providers
from jackfield.contracts.call import Call, CallRequest, EndReason, ReplyFinished, ReplyStarted, UserText
from jackfield.contracts.extension import TurnWrapper
from jackfield.contracts.llm import LLM
from jackfield.contracts.realtime import Realtime
from jackfield.contracts.session import SessionStore
from jackfield.contracts.stt import STT
from jackfield.contracts.tools import Tool
from jackfield.contracts.tts import TTS
from jackfield.contracts.vad import VAD
from jackfield.dialogue.call.service import CallService
from jackfield.dialogue.scenarios import ScenarioTable
from jackfield.plugin import Capabilities
from jackfield.testing import ManualLeg
from jackfield_stt_scripted import ScriptedOptions, ScriptedSTT
from jackfield_tts_tone import ToneOptions, ToneTTS
from tests.core.dialogue.stage import CONVERSATION, Stage

RATE_HZ = 16_000
FRAME_S = 0.02
LETTER_S = 0.06
"""What the voice takes for a character."""

logger = logging.getLogger(__name__)


class LoudVAD:
    """Takes every sound for speech, and silence for silence."""

    window_samples = 512

    def stream(self) -> LoudVAD:
        return self

    def feed(self, window: bytes) -> float:
        return float(window.count(0) != len(window))


def scripted(*transcripts: str, partials: bool = False, delay_s: float = 0.0) -> ScriptedSTT:
    """A recogniser that hears these, one an utterance."""
    return ScriptedSTT(ScriptedOptions(transcripts=transcripts, partials=partials, delay_s=delay_s))


class Talk:
    """One call, its user and its listener."""

    def __init__(self, call: Call, leg: ManualLeg) -> None:
        self.call = call
        self.leg = leg
        self.reason: EndReason | None = None
        self.ended = anyio.Event()

    async def say(self, seconds: float) -> None:
        """Speak for so long."""
        await self._sound(b"\x00\x10" * round(RATE_HZ * FRAME_S), seconds)

    async def hush(self, seconds: float) -> None:
        """Be silent for so long, into an open microphone."""
        await self._sound(bytes(2 * round(RATE_HZ * FRAME_S)), seconds)

    async def ask(self, seconds: float = 0.5) -> None:
        """Say something, and wait until it is clear that it was all."""
        await self.say(seconds)
        await self.hush(0.4)

    async def _sound(self, frame: bytes, seconds: float) -> None:
        for _ in range(round(seconds / FRAME_S)):
            await anyio.sleep(FRAME_S)
            self.call.feed(frame)

    async def answered(self, item: int = 1) -> ReplyFinished:
        """Wait for the end of an item."""
        await self.leg.until(lambda: item in [event.item for event in self.leg.events(ReplyFinished)])
        return next(event for event in self.leg.events(ReplyFinished) if event.item == item)

    async def sounding(self, item: int = 1) -> None:
        """Wait until something of an item is to be heard."""
        await self.leg.until(lambda: self.started() >= item and self.leg.playing)

    def started(self) -> int:
        """The number of the newest item."""
        return max((event.item for event in self.leg.events(ReplyStarted)), default=0)

    def started_items(self) -> int:
        """How many items were begun."""
        return len(self.leg.events(ReplyStarted))

    def finals(self) -> list[str]:
        """What the user said, as far as it was told."""
        return [event.text for event in self.leg.events(UserText) if event.final]


class Exchange:
    """A telephone exchange: a stage whose assistant takes calls."""

    def __init__(
        self,
        folder: Path,
        *,
        llm: LLM | None = None,
        stt: STT | None = None,
        tts: TTS | None = None,
        vad: VAD | None = None,
        realtime: Realtime | Built[Realtime] | None = None,
        named: Mapping[str, LLM] | None = None,
        tools: Sequence[Tool] = (),
        wrappers: Sequence[TurnWrapper] = (),
        store: SessionStore | None = None,
        partials: bool = False,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self.stage = Stage(
            folder,
            llm=llm,
            stt=stt or scripted("hello there"),
            tts=tts or ToneTTS(ToneOptions(character_ms=LETTER_S * 1000)),
            named=named,
            tools=tools,
            wrappers=wrappers,
            store=store,
            config=config,
        )
        assembly = self.stage.assembly
        ears = assembly.stt.default
        assert ears is not None
        ears = replace(ears, capabilities=Capabilities(streaming=partials))
        self.assembly = replace(
            assembly,
            stt=replace(assembly.stt, default=ears),
            vad=Built("vad", "loud", Capabilities(), vad or LoudVAD()),
            realtime=Providers(_model(realtime)),
        )
        self.service = CallService(
            self.assembly,
            sessions=self.stage.sessions,
            scenarios=ScenarioTable(self.stage.config),
            order=self.stage.assistant.order,
            metrics=self.stage.figures,
            publish=self.stage.events.append,
        )

    @asynccontextmanager
    async def call(self, **changes: Any) -> AsyncIterator[Talk]:
        """Hold a call, and hang up at the end."""
        leg = ManualLeg(24_000)
        async with self.service.open(call_request(**changes), leg) as call:
            leg.call = call
            talk = Talk(call, leg)

            async def run() -> None:
                talk.reason = await call.run()
                talk.ended.set()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run)
                await anyio.wait_all_tasks_blocked()
                yield talk
                call.hang_up()


def _model(realtime: Realtime | Built[Realtime] | None) -> Built[Realtime] | None:
    if realtime is None or isinstance(realtime, Built):
        return realtime
    return Built("realtime", "duet", Capabilities(), realtime)


def call_request(**changes: Any) -> CallRequest:
    """A call in the usual conversation."""
    return CallRequest(**{"conversation": CONVERSATION, "transport": "trial", "rate_hz": RATE_HZ, **changes})
