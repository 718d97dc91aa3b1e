"""Something that is said in a call: an answer, a greeting, an apology."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Literal, Protocol

import anyio

from jackfield.audio.pcm import WIDTH_BYTES
from jackfield.contracts.call import CallEvent, ReplyFinished
from jackfield.dialogue.call.floor import Floor
from jackfield.dialogue.waterfall import Waterfall

logger = logging.getLogger(__name__)

Outcome = Literal["ok", "interrupted", "failed"]


class SayingWatcher(Protocol):
    """Who is told how it goes. Plain functions that return at once."""

    def sounding(self) -> None:
        """Its first sound was given to the leg, or its first words where they are only read."""
        ...

    def over(self, saying: Saying) -> None:
        """It was heard to its end, was interrupted, or came to nothing."""
        ...


class Saying(ABC):
    """One item of the leg and one cancel scope. Nothing of it is heard or told before it is released."""

    text = ""
    """What it answers."""

    def __init__(self, floor: Floor, watcher: SayingWatcher, waterfall: Waterfall) -> None:
        self.item = 0
        self.sounding = False
        """Whether sound of it was given to the leg, or words where they are only read."""
        self.over = False
        self.heard = ""
        """What the user heard of it, once it is over."""
        self.waterfall = waterfall
        self.failure: str | None = None
        """The code of what went wrong."""
        self._floor = floor
        self._watcher = watcher
        self._held: list[Callable[[], None]] = []
        self._held_bytes = 0
        self._shown = ""  # where words are only read
        self._complete = False
        self._scope = anyio.CancelScope()
        self.released = False
        """Whether the user may know of it."""
        self._when_released: anyio.Event | None = None  # once somebody waits for it
        self._all_heard: anyio.Event | None = None

    def release(self) -> None:
        """Let the user hear it, and what was held back of it first."""
        self.item = self._floor.take()
        self.released = True
        if self._when_released is not None:
            self._when_released.set()
        held, self._held = self._held, []
        for step in held:
            step()

    def played(self) -> None:
        """All sound was heard."""
        if self._all_heard is not None:
            self.waterfall.reached("played")
            self._finish("failed" if self.failure else "ok")
            self._all_heard.set()

    def interrupt(self) -> None:
        """Fall silent at once, and end."""
        if not self.over:
            self._finish("interrupted")
            self._scope.cancel()

    async def run(self) -> None:
        """Say it. Returns when it was heard, or was interrupted, and everything about it is done."""
        if self.over:
            return
        try:
            with self._scope:
                await self._run()
        except Exception:
            logger.exception("what was said in a call came to nothing")
            self._finish("failed")
        finally:
            self._finish("interrupted")

    @abstractmethod
    async def _run(self) -> None:
        """Say it, between `_give` and `_heard_to_the_end`."""

    @abstractmethod
    def _heard_text(self, heard_s: float, outcome: Outcome) -> str:
        """The words that were heard in the first `heard_s` seconds."""

    def _ended(self, outcome: Outcome) -> None:  # noqa: B027  # not everything that is said has more to do
        """It is over; the client has not been told yet."""

    def _providers(self) -> Mapping[str, str]:
        """Who did it, as in `ReplyFinished`."""
        return self.waterfall.steps.providers()

    def _give(self, pcm: bytes) -> None:
        """Play sound, in order, at the rate of the leg."""
        if not pcm:
            return
        if not self.released:
            self._held_bytes += len(pcm)
            self._held.append(lambda: self._play(pcm))
            return
        self._play(pcm)

    def _play(self, pcm: bytes) -> None:
        if not self.sounding:
            self.sounding = True
            self.waterfall.reached("first_audio")
            self._floor.play(self.item, pcm)
            self._watcher.sounding()
        else:
            self._floor.play(self.item, pcm)

    def _write(self, text: str) -> None:
        """Show words."""
        if self.released:
            self._show(text)
        else:
            self._held.append(lambda: self._show(text))

    def _show(self, text: str) -> None:
        self._floor.write(self.item, text)
        if self._floor.speaks:
            return
        self._shown += text
        if not self.sounding:
            self.sounding = True
            self._watcher.sounding()

    def _tell(self, event: CallEvent) -> None:
        """Let the client know."""
        if self.released:
            self._floor.tell(self.item, event)
        else:
            self._held.append(lambda: self._floor.tell(self.item, event))

    def _ahead_s(self) -> float:
        """Seconds of sound that were given and not heard yet."""
        leg = self._floor.leg
        return leg.ahead_s() if self.released else self._held_bytes / (WIDTH_BYTES * leg.rate_hz)

    async def _heard_to_the_end(self) -> None:
        """Wait until everything that was given is heard. What is only read is so when it is complete."""
        await self._until_released()
        self._complete = True
        if not self._floor.speaks:
            self._finish("failed" if self.failure else "ok")
            return
        self._all_heard = anyio.Event()
        self._floor.complete(self.item)
        await self._all_heard.wait()

    async def _until_released(self) -> None:
        if not self.released:
            self._when_released = self._when_released or anyio.Event()
            await self._when_released.wait()

    def _finish(self, outcome: Outcome) -> None:
        """End it, once: take leave of the floor and tell everybody."""
        if self.over:
            return
        self.over = True
        if outcome == "interrupted" and self.sounding:
            self.waterfall.reached("interrupted")
        if self.sounding or outcome == "ok":
            self.heard = self._heard_text(self._floor.heard_s(self.item), outcome)
        self._ended(outcome)
        if self.released:
            stages, providers = self.waterfall.seconds(), self._providers()
            finished = ReplyFinished(self.item, self.heard, outcome, stages, providers)
            self._floor.leave(self.item, finished, silence=outcome == "interrupted" or not self._complete)
        self._watcher.over(self)


def loop_time_s() -> float:
    """The time of the event loop."""
    return asyncio.get_running_loop().time()
