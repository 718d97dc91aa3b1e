"""A live call: sound in, events from the client, time running out. What is said to it is a responder's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import anyio

from jackfield.config.sections import CallSection
from jackfield.contracts.call import CallRequest, EndReason
from jackfield.contracts.extension import CallDigit, Event
from jackfield.dialogue.call.endpointing import CallState
from jackfield.dialogue.call.hearing import CallEar, EarListener
from jackfield.dialogue.call.responder import Host, Left, Replaceable, Responder
from jackfield.dialogue.call.saying import loop_time_s
from jackfield.errors import ProviderError
from jackfield.text import normalise

_LEAST_LOOK_S: Final = 0.05
"""When to look again, at the earliest, whether the call is idle."""


@dataclass(frozen=True, slots=True)
class CallPart:
    """What of a call listens and answers."""

    hear: Callable[[EarListener], CallEar]
    respond: Callable[[Host], Responder]
    stand_in: CallPart | None = None
    """What goes on with the call where the responder cannot."""


class LiveCall:
    """One call. Implements `contracts.call.Call` for the door and `Host` for the responder."""

    def __init__(
        self,
        request: CallRequest,
        *,
        name: str,
        session: str,
        settings: CallSection,
        part: CallPart,
        publish: Callable[[Event], None],
    ) -> None:
        self.name = name
        self.reason: EndReason | None = None
        """Why it ended, once it has."""
        self._request = request
        self._session = session
        self._settings = settings
        self._publish = publish
        self._state: CallState = "listening"
        self._muted = not request.listens
        self._active_s = loop_time_s()
        self._idle: asyncio.TimerHandle | None = None
        self._scope = anyio.CancelScope()
        self._stand_in = part.stand_in
        self._scenario = request.scenario
        self._take(part)

    # What the door brings.

    def feed(self, pcm: bytes) -> None:
        if not self._muted and self.reason is None:
            self._ear.feed(pcm)

    def begin_speech(self) -> None:
        if self._muted or self.reason is not None:
            return
        self._responder.give_way()
        self._ear.begin_speech()

    def end_speech(self) -> None:
        if self.reason is None:
            self._ear.end_speech()

    def text(self, text: str) -> None:
        text = normalise(text)
        if text and self.reason is None:
            self._responder.text(text)

    def interrupt(self) -> None:
        if self.reason is None:
            self._responder.interrupt()

    def played(self, item: int) -> None:
        if self.reason is None:
            self._responder.played(item)

    def mute(self, *, on: bool) -> None:
        if on and not self._muted and self._request.turns == "auto":
            self.end_speech()  # what was said before is answered
        self._muted = on or not self._request.listens

    def digit(self, digit: str) -> None:
        self.user_active()
        self._publish(CallDigit(self._request.transport, self._session, self.name, digit))

    def switch(self, scenario: str) -> None:
        self._responder.switch(scenario)
        self._scenario = scenario

    def hang_up(self, reason: EndReason = "hung_up") -> None:
        if self.reason is None:
            self.reason = reason
            self._scope.cancel()

    async def run(self) -> EndReason:
        loop = asyncio.get_running_loop()
        self._active_s = loop.time()
        long = loop.call_later(self._settings.max_seconds, self.hang_up, "too_long")
        self._idle = loop.call_later(self._settings.idle_seconds, self._look)
        try:
            with self._scope:
                await self._respond()
        finally:
            long.cancel()
            if self._idle is not None:
                self._idle.cancel()
            self.close()
        return self.reason or "hung_up"

    def _take(self, part: CallPart) -> None:
        self._responder = part.respond(self)
        self._ear = part.hear(self._responder)

    async def _respond(self) -> None:
        """Let the responder do its work; where it cannot go on, another does or the call ends."""
        try:
            await self._responder.run()
        except ProviderError:
            if self._stand_in is None:
                self.hang_up("provider_lost")
                return
        else:
            return
        left = self._responder.left() if isinstance(self._responder, Replaceable) else Left()
        self._ear.close()
        self._state = "listening"
        self._take(self._stand_in)
        if self._scenario is not None:
            self._responder.switch(self._scenario)
        self._pass_on(left)
        await self._responder.run()

    def _pass_on(self, left: Left) -> None:
        """Let a new responder have what the one before did not answer."""
        if left.text:
            self._responder.text(left.text)
        if left.sound:
            self._ear.feed(left.sound)
        if left.said:
            self._ear.end_speech()

    def close(self) -> None:
        """Let go of what the call holds; it can be used no longer. May be called twice."""
        self.reason = self.reason or "hung_up"
        self._ear.close()

    # What the responder says.

    def set_state(self, state: CallState) -> None:
        if state == self._state:
            return
        self._state = state
        self._active_s = loop_time_s()
        self._ear.set_state(state)

    def user_active(self) -> None:
        self._active_s = loop_time_s()

    def silent_for_s(self, since_s: float) -> float:
        return self._ear.now_s - since_s

    def _look(self) -> None:
        """Hang up if nothing has happened for long enough, else look again when it might have."""
        idle_s = self._settings.idle_seconds
        left_s = self._active_s + idle_s - loop_time_s() if self._state == "listening" else idle_s
        if left_s <= 0:
            self.hang_up("idle")
        else:
            self._idle = asyncio.get_running_loop().call_later(max(left_s, _LEAST_LOOK_S), self._look)
