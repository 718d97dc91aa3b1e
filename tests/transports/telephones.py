"""A speech assistant that has telephones, and Twilio in front of it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from fastapi import APIRouter

from jackfield.assembly import Built, Door, Providers
from jackfield.contracts.auth import Auth
from jackfield.contracts.call import Call, CallLeg, CallRequest, Calls
from jackfield.contracts.panel import Panel
from jackfield.plugin import Capabilities, Site
from jackfield.testing import FakeLLM
from jackfield_session_memory import MemoryOptions, MemoryStore
from jackfield_transport_speech_assistant.door import SpeechAssistant
from jackfield_transport_speech_assistant.options import SpeechAssistantOptions
from jackfield_transport_speech_assistant.telephone.options import TelephoneOptions
from tests.core.server.support import Served, assembly, serving
from tests.transports.switchboard import Switchboard
from tests.transports.trouble import MoodySTT, MoodyTTS, MoodyVAD
from tests.transports.twilio_phone import ACCOUNT, TOKEN, Twilio

MOUNT: Final = "/assistant"
PUBLIC_URL: Final = "https://phone.example.org"
LONG_ANSWER: Final = " ".join(
    f"Sentence number {number} of this long answer goes on." for number in range(20)
)
"""Ten seconds, at ten milliseconds a letter."""


class _Noted:
    """Calls of the core, of which it notes what they were asked for."""

    def __init__(self, calls: Calls, requests: list[CallRequest]) -> None:
        self._calls = calls
        self._requests = requests

    def open(self, request: CallRequest, leg: CallLeg) -> AbstractAsyncContextManager[Call]:
        self._requests.append(request)
        return self._calls.open(request, leg)


class _Door:
    """The speech assistant, of whose calls is noted what they were asked for."""

    scenarios = SpeechAssistant.scenarios

    def __init__(self, assistant: SpeechAssistant, switchboard: Switchboard | None) -> None:
        self._assistant = assistant
        self._switchboard = switchboard
        self.panel: Panel
        self.requests: list[CallRequest] = []

    def routes(self, panel: Panel) -> APIRouter:
        self.panel = panel
        panel.calls = _Noted(panel.calls if self._switchboard is None else self._switchboard, self.requests)
        return self._assistant.routes(panel)

    async def run(self, panel: Panel) -> None:
        await self._assistant.run(panel)


@dataclass
class Telephones:
    """A server, and Twilio in front of it. The switchboard has the calls, unless they are real."""

    served: Served
    twilio: Twilio
    switchboard: Switchboard
    panel: Panel
    requests: list[CallRequest]
    """Of every call."""

    async def answers(self) -> list[str]:
        """What is stored of the assistant's answers in the last call."""
        window = await self.panel.sessions.window(self.requests[-1].conversation)
        return [message.content for message in window.messages if not message.is_user] if window else []

    def streams(self) -> int:
        """How many WebSockets are open."""
        return len(self.served.in_flight.sockets)

    async def dropped_frames(self) -> float:
        """How many frames were dropped, as `/metrics` has it."""
        name = "jackfield_telephone_bad_frames_total"
        lines = (await self.served.figures()).splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    async def calls(self) -> float:
        """How many real calls there are."""
        lines = (await self.served.figures()).splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("jackfield_calls{"))


def telephone_options(**options: Any) -> TelephoneOptions:
    """Options with credentials."""
    return TelephoneOptions.model_validate({"account_sid": ACCOUNT, "auth_token": TOKEN, **options})


@asynccontextmanager
async def telephones(
    *,
    auths: Mapping[str, Auth] | None = None,
    real: bool = False,
    config: Mapping[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[Telephones]:
    """Serve telephones with these options; with `real`, the core holds the calls, on parts without models."""
    switchboard = Switchboard()
    site = Site("transport.1", "speech_assistant", logging.getLogger("trial"), MOUNT)
    chosen = SpeechAssistantOptions(telephone=telephone_options(**options))
    door = _Door(SpeechAssistant(chosen, site), None if real else switchboard)
    built = Built("transport.1", "speech_assistant", Capabilities(), door)
    guard = next(iter(auths), None) if auths else None
    server = {"public_url": PUBLIC_URL}
    settings = {"limits": {"enabled": False}, **(config or {}), "server": server}
    parts = assembly(Door(built, MOUNT, guard), auths=auths, config=settings)
    plain = Capabilities()
    store = Built("session", "memory", plain, MemoryStore(MemoryOptions()))
    parts = replace(parts, stores={"shared": store, "windows": store, "signals": store})
    if real:
        llm = FakeLLM(outputs=(*(f"{word} " for word in LONG_ANSWER.split()), *FakeLLM().outputs[-1:]))
        parts = replace(
            parts,
            llm=Providers(Built("llm", "fake", Capabilities(streaming=True), llm)),
            stt=Providers(Built("stt", "moody", plain, MoodySTT())),
            tts=Providers(Built("tts", "moody", plain, MoodyTTS())),
            vad=Built("vad", "moody", plain, MoodyVAD()),
        )
    async with serving(parts) as served:
        yield Telephones(
            served, Twilio(served.port, PUBLIC_URL, served.client), switchboard, door.panel, door.requests
        )
