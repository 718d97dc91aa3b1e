"""A chain of speech-to-speech models: a session is that of the first one which opens."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from math import inf
from types import TracebackType
from typing import Self, TypeVar

import anyio

from jackfield.audio.pcm import WIDTH_BYTES
from jackfield.contracts.failover import Failover
from jackfield.contracts.realtime import (
    ClientSecret,
    ForwardedSession,
    ForwardsOffers,
    GivesSecrets,
    Realtime,
    RealtimeAudio,
    RealtimeOutput,
    RealtimePlayback,
    RealtimeSession,
    RealtimeSettings,
    SaysPhrases,
    TakesTurns,
)
from jackfield.errors import ProviderTimedOut
from jackfield.resilience.chain import Attempt, Chain, fails_over

T = TypeVar("T")


class RealtimeChain:
    """Several models that stand for each other. Implements `Realtime`.

    Implements `ForwardsOffers` and `GivesSecrets` too, to be asked for where all members have them.
    """

    def __init__(self, chain: Chain[Realtime]) -> None:
        self._chain = chain

    def session(self, settings: RealtimeSettings) -> ChainedSession:
        return ChainedSession(self._chain, settings)

    def forward_offer(self, sdp: str, settings: RealtimeSettings) -> ChainedForwardedSession:
        return ChainedForwardedSession(self._chain, settings, sdp)

    async def client_secret(self, settings: RealtimeSettings, ttl_s: float) -> ClientSecret:
        secret, attempt = await _first(
            self._chain, settings.failover, lambda attempt: _secret_in_time(attempt, settings, ttl_s)
        )
        attempt.succeeded()
        return secret


async def _first(
    chain: Chain[Realtime], plan: Failover | None, ask: Callable[[Attempt[Realtime]], Awaitable[T]]
) -> tuple[T, Attempt[Realtime]]:
    """Ask the members one after the other; gives what the first gives that does not fail, and its attempt."""
    for attempt in chain.attempts(plan):
        try:
            return await ask(attempt), attempt
        except Exception as error:
            if not attempt.failed(error, useful=False):
                raise
        except BaseException:
            attempt.over(useful=False)
            raise
    raise AssertionError("the last attempt raises")


async def _secret_in_time(
    attempt: Attempt[Realtime], settings: RealtimeSettings, ttl_s: float
) -> ClientSecret:
    model = attempt.member.object
    assert isinstance(model, GivesSecrets)
    with anyio.move_on_after(attempt.limit_s):
        return await model.client_secret(settings, ttl_s)
    raise ProviderTimedOut("no key came in time")


class ChainedSession:
    """One session, of the member that opened it. A member that fails later cools down like any other.

    Implements `RealtimeSession`, and its abilities as far as the member has them.
    """

    def __init__(self, chain: Chain[Realtime], settings: RealtimeSettings) -> None:
        self._chain = chain
        self._settings = settings
        self._scope = anyio.CancelScope()
        self._opened: RealtimeSession | None = None
        self._attempt: Attempt[Realtime] | None = None
        self._useful = False

    @property
    def rate_hz(self) -> int:
        return self._session.rate_hz

    @property
    def _session(self) -> RealtimeSession:
        if self._opened is None:
            raise RuntimeError("the session is not entered")
        return self._opened

    def push(self, pcm: bytes) -> None:
        self._session.push(pcm)

    async def interrupt(self, heard_ms: int) -> None:
        await self._session.interrupt(heard_ms)

    async def update(self, settings: RealtimeSettings) -> None:
        await self._session.update(settings)

    async def inject(self, text: str) -> None:
        await self._session.inject(text)

    async def tool_result(self, call_id: str, result: str) -> None:
        await self._session.tool_result(call_id, result)

    async def commit(self) -> None:
        session = self._session
        if isinstance(session, TakesTurns):
            await session.commit()
        else:
            session.push(bytes(session.rate_hz * WIDTH_BYTES))  # a second of silence, which it may notice

    async def say(self, text: str) -> None:
        session = self._session
        if isinstance(session, SaysPhrases):
            await session.say(text)

    def __aiter__(self) -> AsyncIterator[RealtimeOutput]:
        return self._outputs()

    async def _outputs(self) -> AsyncGenerator[RealtimeOutput, None]:
        assert self._attempt is not None
        try:
            async for output in self._session:
                if not self._useful and isinstance(output, RealtimeAudio | RealtimePlayback):
                    self._useful = True
                    self._attempt.succeeded()
                yield output
        except Exception as error:
            self._lost(self._attempt, error)
            raise

    def _lost(self, attempt: Attempt[Realtime], error: Exception) -> None:
        """Hold the loss of the session against its member, whose opening may have gone well."""
        if self._useful and fails_over(error):
            self._chain.reporter.failed(attempt.member.place, error)
            attempt.member.circuit.failed(error, trial=False)
        else:
            attempt.failed(error, useful=True)

    async def __aenter__(self) -> Self:
        self._opened, self._attempt = await _first(self._chain, self._settings.failover, self._open)
        return self

    def _begun(self, model: Realtime) -> RealtimeSession:
        return model.session(self._settings)

    async def _open(self, attempt: Attempt[Realtime]) -> RealtimeSession:
        """Enter a member's session inside of a scope that stays as long as it does."""
        session = self._begun(attempt.member.object)
        scope = anyio.CancelScope(deadline=anyio.current_time() + attempt.limit_s)
        scope.__enter__()
        try:
            await session.__aenter__()
        except BaseException as error:
            if scope.__exit__(type(error), error, error.__traceback__):
                raise ProviderTimedOut("no session came about in time") from None
            raise
        scope.deadline = inf
        self._scope = scope
        return session

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> bool | None:
        session, self._opened = self._opened, None
        if session is None or self._attempt is None:
            return None
        try:
            return await session.__aexit__(exc_type, exc, tb)
        finally:
            self._attempt.over(useful=True)
            if self._scope.__exit__(exc_type, exc, tb):
                raise ProviderTimedOut("no session came about in time")


class ChainedForwardedSession(ChainedSession):
    """The session beside a call that went to the member which answered the offer."""

    def __init__(self, chain: Chain[Realtime], settings: RealtimeSettings, sdp: str) -> None:
        super().__init__(chain, settings)
        self._sdp = sdp

    @property
    def answer(self) -> str:
        session = self._session
        assert isinstance(session, ForwardedSession)
        return session.answer

    def _begun(self, model: Realtime) -> RealtimeSession:
        assert isinstance(model, ForwardsOffers)
        return model.forward_offer(self._sdp, self._settings)
