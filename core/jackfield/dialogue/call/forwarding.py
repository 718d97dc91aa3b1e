"""Calls whose sound goes past the server, and keys for clients that open them themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from math import inf
from typing import Final, Literal

import anyio

from jackfield.assembly import Assembly, Built
from jackfield.contracts.call import CallRequest
from jackfield.contracts.extension import Event
from jackfield.contracts.forwarding import ForwardedCall
from jackfield.contracts.realtime import (
    ClientSecret,
    ForwardedSession,
    ForwardsOffers,
    GivesSecrets,
    Realtime,
)
from jackfield.dialogue.call.service import CallService
from jackfield.dialogue.failures import report
from jackfield.errors import Problem, ProviderError, ProviderTimedOut, ProviderUnavailable

Ability = Literal["offers", "secrets"]

_ABILITIES: Final[dict[Ability, tuple[type, str]]] = {
    "offers": (ForwardsOffers, "takes no offers of browsers"),
    "secrets": (GivesSecrets, "gives clients no keys"),
}


class ForwardingService:
    """Implements `contracts.forwarding.Forwarding` with the speech-to-speech model of an assembly."""

    def __init__(self, assembly: Assembly, calls: CallService, publish: Callable[[Event], None]) -> None:
        self._model = assembly.realtime.default
        self._settings = assembly.config.call
        self._calls = calls
        self._publish = publish

    def obstacle(self, ability: Ability) -> Problem | None:
        """See `contracts.forwarding.Forwarding.obstacle`."""
        model = self._model
        if model is None:
            message = "No speech-to-speech model is configured."
            return Problem("realtime", message, "Add [realtime] with `use`.")
        if ability == "offers" and self._settings.pipeline != "realtime":
            message = f'[call] pipeline is "{self._settings.pipeline}".'
            return Problem("call.pipeline", message, 'Write pipeline = "realtime" into [call].')
        able, lack = _ABILITIES[ability]
        for part in model.members or (model,):
            if not isinstance(part.object, able):
                message = f'[{part.section}] "{part.plugin}" {lack}.'
                fix = "Use a plugin that does, or install what this one needs for it."
                return Problem(part.section, message, fix)
        return None

    @asynccontextmanager
    async def open(self, request: CallRequest, offer: str) -> AsyncIterator[ForwardedCall]:
        """See `contracts.forwarding.Forwarding.open`."""
        model = self._with("offers")
        assert isinstance(model.object, ForwardsOffers)
        self._calls.admit()
        call, talk = self._calls.make_forwarded(request)
        with self._calls.hold(call, request):
            session = model.object.forward_offer(offer, await talk.opening())
            async with self._entered(model, session):
                talk.attend(session)
                yield ForwardedCall(call, session.answer)

    async def client_secret(self, request: CallRequest, ttl_s: float) -> ClientSecret:
        """See `contracts.forwarding.Forwarding.client_secret`."""
        model = self._with("secrets")
        assert isinstance(model.object, GivesSecrets)
        call, talk = self._calls.make_forwarded(request)
        settings = await talk.opening()
        call.close()
        with anyio.move_on_after(self._settings.llm_first_seconds):
            try:
                return await model.object.client_secret(settings, ttl_s)
            except Exception as error:  # noqa: BLE001  # a plugin is somebody else's code
                raise self._reported(model, error) from None
        raise self._reported(model, ProviderTimedOut("no key came in time"))

    @asynccontextmanager
    async def _entered(self, model: Built[Realtime], session: ForwardedSession) -> AsyncIterator[None]:
        deadline_s = anyio.current_time() + self._settings.llm_first_seconds
        with anyio.CancelScope(deadline=deadline_s) as scope:
            stack = AsyncExitStack()
            try:
                await stack.enter_async_context(session)
            except Exception as error:  # noqa: BLE001  # a plugin is somebody else's code
                raise self._reported(model, error) from None
            async with stack:
                scope.deadline = inf
                yield
        if scope.cancelled_caught:
            raise self._reported(model, ProviderTimedOut("no session came about in time"))

    def _with(self, ability: Ability) -> Built[Realtime]:
        if self._model is None or self.obstacle(ability) is not None:
            raise RuntimeError("whoever opens such calls looks for obstacles first")
        return self._model

    def _reported(self, model: Built[Realtime], error: Exception) -> ProviderError:
        """Tell the observers and the log of a failure; gives what a door may know of it."""
        report(model, error, self._publish)
        return error if isinstance(error, ProviderError) else ProviderUnavailable("the model failed")
