"""Calls whose sound goes past the server: the client's connection ends at the speech-to-speech model."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from jackfield.contracts.call import Call, CallRequest
from jackfield.contracts.realtime import ClientSecret
from jackfield.errors import Problem


@dataclass(frozen=True, slots=True)
class ForwardedCall:
    """A call at the model, and what is held of it here.

    `call` takes no sound; what it says and hears is known by its words. `run` returns when the user hangs up.
    """

    call: Call
    answer: str
    """The model's answer to the client's offer, as SDP."""


class Forwarding(Protocol):
    """Where such calls are opened, and clients are given keys to the model."""

    def obstacle(self, ability: Literal["offers", "secrets"]) -> Problem | None:
        """Say why the configuration has no model that takes offers or gives secrets; None if it has."""
        ...

    def open(self, request: CallRequest, offer: str) -> AbstractAsyncContextManager[ForwardedCall]:
        """Have the model answer an offer (SDP). Its call ends when this is left; `run` is to run meanwhile.

        Where there is an obstacle, it is a mistake to ask. The settings of the call are the request's and
        those of its scenario.

        :raises ProtocolError: 404 `scenario_not_found`; 503 `too_many_calls`, `server_stopping`.
        :raises ProviderError: when the model does not answer the offer.
        """
        ...

    async def client_secret(self, request: CallRequest, ttl_s: float) -> ClientSecret:
        """Have the model make a key, good for `ttl_s` seconds, with which a client opens the call itself.

        :raises ProtocolError: 404 `scenario_not_found`.
        :raises ProviderError: when the model makes none.
        """
        ...
