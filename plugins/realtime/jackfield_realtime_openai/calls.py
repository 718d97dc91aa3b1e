"""The service's calls by HTTP: browsers' offers, the end of a call, and keys for clients."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, cast

import anyio
import openai
from anyio.abc import TaskGroup

from jackfield.contracts.realtime import ClientSecret, RealtimeSettings
from jackfield.errors import ProviderBadReply, ProviderError
from jackfield_openai_account.connected import Connected
from jackfield_openai_account.sdk import openai_client, provider_error
from jackfield_realtime_openai.messages import session_object
from jackfield_realtime_openai.options import OpenAIRealtimeOptions

if TYPE_CHECKING:
    from openai.types.realtime import RealtimeSessionCreateRequestParam

T = TypeVar("T")

_CALL: Final = re.compile(r"/realtime/calls/([\w.-]{1,256})/?$")
_LEAST_TTL_S: Final = 10
_MOST_TTL_S: Final = 7_200
_LATE_S: Final = 3.0
"""How long the service may take to tell the id of a call that nobody wants any more."""
_HANG_UP_S: Final = 3.0


@dataclass(slots=True, eq=False)
class _Offer:
    """An offer that the service is to answer."""

    sdp: str
    settings: RealtimeSettings
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    done: anyio.Event = field(default_factory=anyio.Event)
    begun: tuple[str, str] | None = None
    failure: Exception | None = None


class Calls(Connected):
    """Asks for calls. An async context manager: entering opens the client.

    Each call is asked for in a task of its own: who is cancelled meanwhile has control at once, and the call
    that has begun all the same is hung up. Leaving waits for that.
    """

    def __init__(self, options: OpenAIRealtimeOptions, logger: logging.Logger) -> None:
        super().__init__(partial(openai_client, options))
        self._options = options
        self._logger = logger
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._tasks = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        tasks, self._tasks = self._tasks, None
        try:
            if tasks is not None:
                tasks.cancel_scope.deadline = anyio.current_time() + _LATE_S
                await tasks.__aexit__(None, None, None)
        finally:
            await super().__aexit__(exc_type, exc, tb)

    async def begin(self, sdp: str, settings: RealtimeSettings) -> tuple[str, str]:
        """Have an offer answered; gives the answer and the id of the call.

        :raises ProviderError: when there is no call.
        """
        if (tasks := self._tasks) is None:
            raise RuntimeError("the model is not entered")
        offer = _Offer(sdp, settings)
        tasks.start_soon(self._place, offer)
        try:
            await offer.done.wait()
        except BaseException:
            offer.scope.deadline = anyio.current_time() + _LATE_S
            tasks.start_soon(self._take_back, offer)
            raise
        if offer.begun is None:
            raise offer.failure or RuntimeError("the model is left")
        return offer.begun

    async def _place(self, offer: _Offer) -> None:
        try:
            with offer.scope:
                offer.begun = await self._begin(offer.sdp, offer.settings)
        except Exception as error:  # noqa: BLE001  # raised again where it is waited for
            offer.failure = error
        finally:
            offer.done.set()

    async def _take_back(self, offer: _Offer) -> None:
        """Hang up a call that nobody wants, once its id is known."""
        await offer.done.wait()
        if offer.begun is not None:
            await self.hang_up(offer.begun[1])

    async def hang_up(self, call: str) -> None:
        """End a call as well as may be."""
        with anyio.move_on_after(_HANG_UP_S, shield=True):
            try:
                await self.end(call)
            except ProviderError as error:  # it has ended, or will when its time is up
                self._logger.warning("the service did not hang up: %s", error)

    async def _begin(self, sdp: str, settings: RealtimeSettings) -> tuple[str, str]:
        session = self._session(settings)
        answered = await self._asked(
            lambda client: client.realtime.calls.with_raw_response.create(sdp=sdp, session=session)
        )
        found = _CALL.search(answered.headers.get("location", "").partition("?")[0])
        if found is None or not answered.text.startswith("v=0"):
            raise ProviderBadReply("The service's answer to an offer is no answer, or names no call.")
        return answered.text, found[1]

    async def end(self, call: str) -> None:
        """Hang up.

        :raises ProviderError: when the service does not do it.
        """
        await self._asked(lambda client: client.realtime.calls.hangup(call))

    async def secret(self, settings: RealtimeSettings, ttl_s: float) -> ClientSecret:
        """Have a key made for a client.

        :raises ProviderError: when there is none.
        """
        seconds = min(max(round(ttl_s), _LEAST_TTL_S), _MOST_TTL_S)
        session = self._session(settings)
        made = await self._asked(
            lambda client: client.realtime.client_secrets.create(
                expires_after={"anchor": "created_at", "seconds": seconds}, session=session
            )
        )
        if not (isinstance(made.value, str) and made.value and isinstance(made.expires_at, int | float)):
            raise ProviderBadReply("The service's answer holds no key.")
        return ClientSecret(made.value, float(made.expires_at))

    def _session(self, settings: RealtimeSettings) -> RealtimeSessionCreateRequestParam:
        session: dict[str, Any] = {"model": self._options.model}
        session |= session_object(self._options, settings, forwarded=True)
        # The SDK's own type of this object knows nothing of what options may add to it.
        return cast("RealtimeSessionCreateRequestParam", session)

    async def _asked(self, ask: Callable[[openai.AsyncOpenAI], Awaitable[T]]) -> T:
        if self._client is None:
            raise RuntimeError("the model is not entered")
        try:
            return await ask(self._client)
        except self._errors as error:
            raise provider_error(error) from None
