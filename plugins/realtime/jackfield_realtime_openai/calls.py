"""The service's calls by HTTP: browsers' offers, the end of a call, and keys for clients."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import openai

from jackfield.contracts.realtime import ClientSecret, RealtimeSettings
from jackfield.errors import ProviderBadReply
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


class Calls(Connected):
    """Asks for calls. An async context manager: entering opens the client."""

    def __init__(self, options: OpenAIRealtimeOptions) -> None:
        super().__init__(partial(openai_client, options))
        self._options = options

    async def begin(self, sdp: str, settings: RealtimeSettings) -> tuple[str, str]:
        """Have an offer answered; gives the answer and the id of the call.

        :raises ProviderError: when there is no call.
        """
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
