"""A speech assistant that has telephones, and Twilio in front of it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import httpx
from fastapi import APIRouter

from jackfield.assembly import Assembly, Built, Door, Providers
from jackfield.contracts.auth import Auth
from jackfield.contracts.call import Call, CallLeg, CallRequest, Calls
from jackfield.contracts.panel import Panel
from jackfield.plugin import Capabilities, Site
from jackfield.testing import FakeLLM
from jackfield_session_memory import MemoryOptions, MemoryStore
from jackfield_session_redis.store import RedisStore
from jackfield_transport_speech_assistant.door import SpeechAssistant
from jackfield_transport_speech_assistant.options import SpeechAssistantOptions
from jackfield_transport_speech_assistant.telephone.options import TelephoneOptions
from tests.balancer import Balancer
from tests.core.server.support import Served, assembly, serving
from tests.plugins.session.redis.stores import make_store
from tests.redis_server import RedisServer
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

    async def check(self, request: CallRequest) -> None:
        await self._calls.check(request)


class _Door:
    """The speech assistant, of whose calls is noted what they were asked for."""

    scenarios = SpeechAssistant.scenarios

    def __init__(
        self, assistant: SpeechAssistant, switchboard: Switchboard | None, requests: list[CallRequest]
    ) -> None:
        self._assistant = assistant
        self._switchboard = switchboard
        self._requests = requests
        self.panel: Panel

    def routes(self, panel: Panel) -> APIRouter:
        self.panel = panel
        panel.calls = _Noted(panel.calls if self._switchboard is None else self._switchboard, self._requests)
        return self._assistant.routes(panel)

    async def run(self, panel: Panel) -> None:
        await self._assistant.run(panel)


@dataclass
class Telephones:
    """A server, or several behind a balancer, and Twilio in front.

    The switchboard has the calls, unless they are real.
    """

    servers: Sequence[Served]
    client: httpx.AsyncClient
    """Asks whatever is in front."""
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
        return sum(len(server.in_flight.sockets) for server in self.servers)

    async def dropped_frames(self) -> float:
        """How many frames were dropped, as `/metrics` has it."""
        return await self._figure("jackfield_telephone_bad_frames_total")

    async def calls(self) -> float:
        """How many real calls there are."""
        return await self._figure("jackfield_calls{")

    async def _figure(self, name: str) -> float:
        lines = [line for server in self.servers for line in (await server.figures()).splitlines()]
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def telephone_options(**options: Any) -> TelephoneOptions:
    """Options with credentials."""
    return TelephoneOptions.model_validate({"account_sid": ACCOUNT, "auth_token": TOKEN, **options})


@asynccontextmanager
async def telephones(
    *,
    auths: Mapping[str, Auth] | None = None,
    real: bool = False,
    config: Mapping[str, Any] | None = None,
    replicas: Path | None = None,
    offer_s: float = 600.0,
    **options: Any,
) -> AsyncIterator[Telephones]:
    """Serve telephones with these options; with `real`, the core holds the calls, on parts without models.

    With `replicas`, a folder, there are two servers over one Redis, and a balancer before them.
    """
    switchboard, requests = Switchboard(), list[CallRequest]()
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(RedisServer(replicas / "redis")) if replicas else None
        doors, servers = [], []
        for _ in range(2 if replicas else 1):
            site = Site("transport.1", "speech_assistant", logging.getLogger("trial"), MOUNT)
            chosen = SpeechAssistantOptions(offer_s=offer_s, telephone=telephone_options(**options))
            door = _Door(SpeechAssistant(chosen, site), None if real else switchboard, requests)
            store = make_store(redis.url) if redis else MemoryStore(MemoryOptions())
            parts = _parts(door, store, auths, config)
            servers.append(await stack.enter_async_context(serving(_spoken(parts) if real else parts)))
            doors.append(door)
        url, ports = servers[0].url, [server.port for server in servers]
        if replicas:
            url = stack.enter_context(Balancer(replicas / "balancer", ports)).url
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=url, trust_env=False))
        twilio = Twilio(client.base_url.port or 0, PUBLIC_URL, client)
        yield Telephones(servers, client, twilio, switchboard, doors[0].panel, requests)


def _parts(
    door: _Door,
    store: MemoryStore | RedisStore,
    auths: Mapping[str, Auth] | None,
    config: Mapping[str, Any] | None,
) -> Assembly:
    built = Built("transport.1", "speech_assistant", Capabilities(), door)
    guard = next(iter(auths), None) if auths else None
    settings = {"limits": {"enabled": False}, **(config or {}), "server": {"public_url": PUBLIC_URL}}
    parts = assembly(Door(built, MOUNT, guard), auths=auths, config=settings)
    kept = Built("session", "trial", Capabilities(), store)
    return replace(parts, stores={"shared": kept, "windows": kept, "signals": kept})


def _spoken(parts: Assembly) -> Assembly:
    """With everything that a real call needs."""
    plain = Capabilities()
    llm = FakeLLM(outputs=(*(f"{word} " for word in LONG_ANSWER.split()), *FakeLLM().outputs[-1:]))
    return replace(
        parts,
        llm=Providers(Built("llm", "fake", Capabilities(streaming=True), llm)),
        stt=Providers(Built("stt", "moody", plain, MoodySTT())),
        tts=Providers(Built("tts", "moody", plain, MoodyTTS())),
        vad=Built("vad", "moody", plain, MoodyVAD()),
    )
