"""The sessions of a call with a speech-to-speech model: one at a time, and another where one is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf
from typing import Final, Protocol

import anyio

from jackfield.assembly import Built
from jackfield.audio.pcm import WIDTH_BYTES
from jackfield.contracts.extension import Event
from jackfield.contracts.failover import Failover
from jackfield.contracts.realtime import (
    Realtime,
    RealtimeAudio,
    RealtimeOutput,
    RealtimeSession,
    RealtimeSettings,
    RealtimeSpeech,
    RealtimeUsage,
)
from jackfield.dialogue.call.model_figures import ModelFigures
from jackfield.dialogue.call.model_line import ModelLine
from jackfield.dialogue.failures import report
from jackfield.errors import ProviderError, ProviderRateLimited, ProviderTimedOut, ProviderUnavailable
from jackfield.resilience.retry import LONGEST_WAIT_S

_RECONNECT_S: Final = 5.0
"""Within which a lost session is to be replaced."""
_RETRIES: Final = 3
"""How often a model that asks to wait is asked for another session."""
_BACKOFF_S: Final = 1.0
"""Wait before the first time; it doubles."""


class SessionUser(Protocol):
    """Whoever talks in the sessions."""

    async def settings(self) -> RealtimeSettings:
        """What a session that begins now is told."""
        ...

    def session_began(self, session: RealtimeSession) -> None:
        """From now on things can be wished of the line."""
        ...

    def said(self, output: RealtimeOutput) -> None:
        """The model says or does something."""
        ...

    async def session_lost(self, failure: Exception) -> None:
        """There is no session any more, or it could not be opened."""
        ...

    async def apologise(self, failure: Exception) -> None:
        """There will be no session for a while, or none at all; returns when that was said."""
        ...


@dataclass(slots=True)
class ModelSessions:
    """Opens sessions with `model` for its `user`, within `open_s` seconds the first time."""

    model: Built[Realtime]
    line: ModelLine
    figures: ModelFigures
    publish: Callable[[Event], None]
    open_s: float
    failover_s: float
    """The same for one model of a chain."""
    replaced: bool
    """Whether something else goes on with the call where no session is to be had."""
    plugin: str = field(init=False)
    """Who holds the session: of a chain, the one that was asked last."""

    _told_s: tuple[float, float] = (0.0, 0.0)
    """Seconds of sound in and out that the figures know of."""

    def __post_init__(self) -> None:
        self.plugin = self.model.plugin

    async def hold(self, user: SessionUser) -> Exception:
        """Let the user talk with the model, and once more where it is lost; gives why that is over.

        A model that asks to wait is waited for, and the user is told.
        """
        failures, limit_s, apologised = 0, self.open_s, False
        while True:
            before_s = self.line.heard_s
            try:
                await self._hold_one(user, limit_s)
                failure: Exception = ProviderTimedOut("no session came about in time")
            except Exception as error:  # noqa: BLE001  # a plugin is somebody else's code
                failure = error
            report(self.model, failure, self.publish)
            await user.session_lost(failure)
            if was_useful := self.line.heard_s > before_s:
                failures, apologised = 0, False
            failures += 1
            wait_s = self._wait_s(failure, failures, was_useful=was_useful)
            began_s, limit_s = anyio.current_time(), _RECONNECT_S
            if isinstance(failure, ProviderRateLimited) and not (self.replaced or wait_s == 0 or apologised):
                apologised = True
                await user.apologise(failure)
            if wait_s is None:
                return failure
            await anyio.sleep_until(began_s + wait_s)

    def _wait_s(self, failure: Exception, failures: int, *, was_useful: bool) -> float | None:
        """Seconds until another session is to be asked for; None where it is not to be."""
        if not isinstance(failure, ProviderError) or not failure.retryable:
            return None
        if self.replaced and not was_useful:
            return None
        if self.model.members and failures == 1:
            return 0.0  # of another model, as this one cools down
        asked_s = failure.retry_after_s or 0.0
        if self.replaced or not isinstance(failure, ProviderRateLimited):
            return 0.0 if failures == 1 and asked_s <= _RECONNECT_S else None
        wait_s = max(asked_s, _BACKOFF_S * 2 ** (failures - 1))
        return wait_s if failures <= _RETRIES and wait_s <= LONGEST_WAIT_S else None

    async def attend(self, user: SessionUser, session: RealtimeSession) -> Exception | None:
        """Let the user talk in a session that stands; gives why it was lost, None when it was over."""
        try:
            await self._listen(user, session)
        except Exception as error:  # noqa: BLE001  # a plugin is somebody else's code
            report(self.model, error, self.publish)
            await user.session_lost(error)
            return error
        return None

    def for_chain(self, settings: RealtimeSettings) -> RealtimeSettings:
        """The settings with what a chain has to know, and tells."""
        return replace(settings, failover=Failover(self.failover_s, asked=self._asked))

    async def _hold_one(self, user: SessionUser, limit_s: float) -> None:
        """Hold a session until it fails; returns when it did not come about in time."""
        settings = self.for_chain(await user.settings())
        with anyio.CancelScope(deadline=anyio.current_time() + limit_s) as scope:
            async with self.model.object.session(settings) as session:
                scope.deadline = inf
                await self._listen(user, session)
                raise ProviderUnavailable("the model ended the session")

    def _asked(self, _section: str, plugin: str) -> None:
        self.plugin = plugin

    async def _listen(self, user: SessionUser, session: RealtimeSession) -> None:
        line, bytes_per_s = self.line, session.rate_hz * WIDTH_BYTES
        self.figures.opened(self.model)
        line.connect(session)
        try:
            user.session_began(session)
            async for output in session:
                if isinstance(output, RealtimeAudio):
                    line.heard_s += len(output.pcm) / bytes_per_s
                elif isinstance(output, RealtimeUsage):
                    self._settle()
                user.said(output)
                if isinstance(output, RealtimeSpeech) and output.state == "started":
                    await line.settled()  # else the answer to what is said would be interrupted, not the last
        finally:
            line.disconnect()
            self.figures.closed(self.model)
            self._settle()

    def _settle(self) -> None:
        """Tell the figures of sound that they do not know of."""
        before, self._told_s = self._told_s, (self.line.pushed_s, self.line.heard_s)
        in_s, out_s = (now - then for now, then in zip(self._told_s, before, strict=True))
        self.figures.heard(self.model, in_s, out_s)
