"""The smaller suites pass on parts that keep their promises, and fail on parts that do not."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Any, Self

import anyio
import pytest
from fastapi import APIRouter

from jackfield.contracts.auth import Auth, Credentials, Identity
from jackfield.contracts.llm import ToolSpec
from jackfield.contracts.panel import Panel
from jackfield.contracts.realtime import (
    ClientSecret,
    ForwardedSession,
    ForwardsOffers,
    GivesSecrets,
    Realtime,
    RealtimeAudio,
    RealtimeOutput,
    RealtimeSession,
    RealtimeSettings,
    RealtimeText,
)
from jackfield.contracts.tools import Tool, ToolContext
from jackfield.contracts.transport import Transport
from jackfield.contracts.vad import VAD, VADStream
from jackfield.errors import ProviderUnavailable
from jackfield.testing import (
    AuthSuite,
    FailureSuite,
    ForwardingSuite,
    RealtimeSuite,
    SecretsSuite,
    ToolSuite,
    TransportSuite,
    VADSuite,
)
from jackfield.testing.failure import Failing

pytestmark = pytest.mark.anyio

LOUD = b"\x00\x40" * 16_000


class Loudness:
    """A detector that takes loud sound for speech."""

    window_samples = 512

    def stream(self) -> VADStream:
        return self

    def feed(self, window: bytes) -> float:
        return float(max(window) >= 0x40)


class TestVAD(VADSuite):
    speech = LOUD

    @pytest.fixture
    def vad(self) -> VAD:
        return Loudness()


async def test_a_detector_that_hears_speech_in_silence_is_found() -> None:
    class Eager(Loudness):
        def feed(self, window: bytes) -> float:
            return 1.0

    with pytest.raises(AssertionError):
        TestVAD().test_silence_is_not_speech(Eager())


async def test_a_detector_whose_speakers_share_a_memory_is_found() -> None:
    class Sharing(Loudness):
        last = 0.0

        def feed(self, window: bytes) -> float:
            before, self.last = self.last, super().feed(window)
            return before

    with pytest.raises(AssertionError):
        TestVAD().test_speakers_do_not_disturb_one_another(Sharing())


class OneToken:
    """Authentication by one token."""

    async def identify(self, credentials: Credentials) -> Identity | None:
        return Identity("ada") if credentials.bearer == "the-good-token" else None

    def same_subject(self, claimed: str, subject: str) -> bool:
        return claimed.lower() == subject


class TestAuth(AuthSuite):
    subject = "ada"

    @pytest.fixture
    def auth(self) -> Auth:
        return OneToken()

    @pytest.fixture
    def credentials(self) -> Credentials:
        return Credentials("the-good-token")


async def test_authentication_that_lets_anybody_in_is_found() -> None:
    class Open(OneToken):
        async def identify(self, credentials: Credentials) -> Identity | None:
            return Identity("ada")

    with pytest.raises(AssertionError):
        await TestAuth().test_no_credentials_are_refused(Open())


async def test_a_logged_token_is_found(caplog: pytest.LogCaptureFixture) -> None:
    class Talkative(OneToken):
        async def identify(self, credentials: Credentials) -> Identity | None:
            logging.getLogger("test").debug("asked with %s", credentials.bearer)
            return await super().identify(credentials)

    with pytest.raises(AssertionError):
        await TestAuth().test_credentials_are_not_logged(Talkative(), Credentials("the-good-token"), caplog)


@dataclass
class Clock:
    """A tool that tells the time."""

    spec: ToolSpec = field(default_factory=lambda: ToolSpec("clock", "Tells the time."))
    answer: object = "noon"

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        await anyio.sleep(0.001)
        return self.answer  # type: ignore[return-value]  # what a tool without types may give


class TestTool(ToolSuite):
    @pytest.fixture
    def tool(self) -> Tool:
        return Clock()


async def test_a_tool_that_breaks_a_promise_is_found() -> None:
    with pytest.raises(AssertionError):
        TestTool().test_its_name_is_one_that_every_provider_takes(Clock(ToolSpec("the clock", "")))
    with pytest.raises(AssertionError):
        TestTool().test_its_parameters_are_a_json_schema_of_an_object(
            Clock(ToolSpec("a", "b", {"type": "array"}))
        )
    with pytest.raises(AssertionError):
        await TestTool().test_it_answers_in_words(Clock(answer={"time": "noon"}))


class TestFailure(FailureSuite):
    expected = ProviderUnavailable
    secrets = ("sk-123",)

    @pytest.fixture
    def failing(self) -> Failing:
        return _failing("The service at 127.0.0.1:9 does not answer.")


def _failing(message: str) -> Failing:
    async def fail() -> None:
        raise ProviderUnavailable(message)

    return fail


async def test_a_failure_that_shows_the_key_is_found() -> None:
    with pytest.raises(AssertionError):
        await TestFailure().test_the_message_shows_no_secret(_failing("refused for key sk-123"))


async def test_a_failure_that_does_not_fail_is_found() -> None:
    async def works() -> None:
        return

    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        await TestFailure().test_the_failure_is_of_its_category_and_prompt(works)


class Door:
    """A transport with the given paths."""

    def __init__(self, *paths: str) -> None:
        self._paths = paths

    def routes(self, panel: Panel) -> APIRouter:
        router = APIRouter()
        for path in self._paths:
            router.add_api_route(path, lambda: None)
        return router


class TestTransport(TransportSuite):
    @pytest.fixture
    def transport(self) -> Transport:
        return Door("/chat", "/audio/{name}")

    @pytest.fixture
    def panel(self) -> None:
        """Nothing: this transport does not look at its panel while it gives its routes."""


async def test_a_door_with_wrong_routes_is_found() -> None:
    panel: Any = None
    with pytest.raises(AssertionError):
        TestTransport().test_it_gives_routes(Door(), panel)
    with pytest.raises(AssertionError):
        TestTransport().test_no_two_routes_are_the_same(Door("/chat", "/chat"), panel)
    with pytest.raises(AssertionError):
        TestTransport().test_it_leaves_health_and_metrics_to_the_server(Door("/health"), panel)
    with pytest.raises(AssertionError):
        TestTransport().test_paths_begin_with_a_slash_and_leave_the_mount_to_the_server(Door("/chat/"), panel)


class Storyteller:
    """A speech-to-speech model that tells the same story to everybody."""

    def session(self, settings: RealtimeSettings) -> RealtimeSession:
        return Telling()


class Telling:
    """One telling of it."""

    rate_hz = 24_000
    stops_when_interrupted = True

    def __init__(self) -> None:
        self._items = count(1)
        self._asked = anyio.Event()
        self._item = ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        return

    def push(self, pcm: bytes) -> None:
        return

    async def interrupt(self, heard_ms: int) -> None:
        if self.stops_when_interrupted:
            self._item = ""

    async def update(self, settings: RealtimeSettings) -> None:
        return

    async def inject(self, text: str) -> None:
        if not self._item:
            self._item = f"story-{next(self._items)}"
        self._asked.set()

    async def tool_result(self, call_id: str, result: str) -> None:
        return

    async def __aiter__(self) -> AsyncIterator[RealtimeOutput]:
        while True:
            await self._asked.wait()
            self._asked = anyio.Event()
            for at in range(5):
                await anyio.sleep(0.001)
                yield RealtimeAudio(self._item, bytes(480))
                yield RealtimeText(self._item, "once ", done=at == 4)


class TestRealtime(RealtimeSuite):
    @pytest.fixture
    def realtime(self) -> Realtime:
        return Storyteller()


async def test_a_model_that_goes_on_when_interrupted_is_found() -> None:
    class Deaf(Telling):
        stops_when_interrupted = False

    class DeafStoryteller(Storyteller):
        def session(self, settings: RealtimeSettings) -> RealtimeSession:
            return Deaf()

    suite = TestRealtime()
    with pytest.raises((AssertionError, TimeoutError)), anyio.fail_after(0.5):
        await suite.test_after_an_interruption_the_answer_says_nothing_more(DeafStoryteller())


class FarTelling(Telling):
    """One telling to somebody who hears it elsewhere."""

    answer = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 96\r\n"

    def __init__(self, sdp: str) -> None:
        super().__init__()
        self._sdp = sdp

    async def __aenter__(self) -> Self:
        if not self._sdp.startswith("v=0"):
            raise ProviderUnavailable("no offer")
        return self

    async def __aiter__(self) -> AsyncIterator[RealtimeOutput]:
        async for output in super().__aiter__():
            if not isinstance(output, RealtimeAudio):
                yield output


class FarStoryteller(Storyteller):
    """One whom clients may call themselves, with keys that are numbers."""

    def __init__(self) -> None:
        self._keys = count(1)

    def forward_offer(self, sdp: str, settings: RealtimeSettings) -> ForwardedSession:
        return FarTelling(sdp)

    async def client_secret(self, settings: RealtimeSettings, ttl_s: float) -> ClientSecret:
        return ClientSecret(f"key-{next(self._keys)}", time.time() + ttl_s)


class TestForwarding(ForwardingSuite):
    @pytest.fixture
    def forwarder(self) -> ForwardsOffers:
        return FarStoryteller()

    @pytest.fixture
    def offer(self) -> str:
        return "v=0\r\n"


class TestSecrets(SecretsSuite):
    @pytest.fixture
    def giver(self) -> GivesSecrets:
        return FarStoryteller()


async def test_a_session_beside_a_call_that_has_sound_is_found() -> None:
    class Loud(FarTelling):
        def __aiter__(self) -> AsyncIterator[RealtimeOutput]:
            return Telling.__aiter__(self)

    class LoudStoryteller(FarStoryteller):
        def forward_offer(self, sdp: str, settings: RealtimeSettings) -> ForwardedSession:
            return Loud(sdp)

    suite = TestForwarding()
    with pytest.raises(AssertionError):
        await suite.test_the_session_beside_the_call_has_words_and_no_sound(LoudStoryteller(), "v=0\r\n")


async def test_a_key_that_lasts_for_ever_is_found() -> None:
    class Generous(FarStoryteller):
        async def client_secret(self, settings: RealtimeSettings, ttl_s: float) -> ClientSecret:
            return ClientSecret("key", time.time() + 1e9)

    suite = TestSecrets()
    with pytest.raises(AssertionError):
        await suite.test_a_key_is_good_for_about_the_time_that_is_asked_for(Generous())
    with pytest.raises(AssertionError):
        await suite.test_each_client_has_its_own_key(Generous())
