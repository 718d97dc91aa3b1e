"""Providers that get into trouble when a test wants it, behind a voice socket that is really served."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, cast

import anyio
from websockets.asyncio.client import connect

from jackfield.assembly import Assembly, Built, Door, Providers
from jackfield.contracts.llm import Finish, GenerationRequest, LLMOutput
from jackfield.contracts.stt import Transcript, TranscriptionSettings, WholeUtteranceSTT
from jackfield.contracts.tts import SpeechSettings, TTSOutput, Voice
from jackfield.errors import ProviderBadReply
from jackfield.plugin import Capabilities, Site
from jackfield_session_memory import MemoryOptions, MemoryStore
from jackfield_transport_voice_socket import VoiceSocketOptions, make_transport
from tests.core.server.support import Served, assembly, serving
from tests.transports.switchboard import Phone

Mood = Literal["well", "fails", "breaks", "hangs", "garbage", "slow"]
SECRET: Final = "secret-123"
RATE_HZ: Final = 24_000
APOLOGY: Final = "Sorry about that."
SPEECH: Final = b"\x00\x10" * 320
"""A fiftieth of a second at 16 kHz."""
SILENCE: Final = bytes(640)


@dataclass
class Moody:
    """How it is, and how many use it. `entered` is set whenever somebody begins to."""

    mood: Mood = "well"
    used_by: int = 0
    entered: anyio.Event = field(default_factory=anyio.Event)

    @contextmanager
    def using(self) -> Iterator[None]:
        """One more uses it."""
        self.used_by += 1
        self.entered.set()
        try:
            yield
        finally:
            self.used_by -= 1

    async def suffer(self) -> None:
        """Do as the mood is; where that is garbage or slow, the provider itself knows how."""
        match self.mood:
            case "fails":
                raise ProviderBadReply(f"refused: {SECRET}")
            case "breaks":
                raise RuntimeError(SECRET)
            case "hangs":
                await anyio.sleep_forever()


@dataclass
class MoodyLLM(Moody):
    """Echoes; as garbage it gives a number, and no answer. Slow, it never gets beyond its first words."""

    requests: list[GenerationRequest] = field(default_factory=list)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        self.requests.append(request)
        with self.using():
            await self.suffer()
            if self.mood == "garbage":
                yield cast("str", 17)
                return
            yield "You said: "
            if self.mood == "slow":
                await anyio.sleep_forever()
            yield request.messages[-1].content
            yield Finish("stop")


class MoodySTT(Moody, WholeUtteranceSTT):
    """Hears one sentence; as garbage it gives no transcript."""

    async def recognize(self, pcm: bytes, settings: TranscriptionSettings) -> Transcript:
        with self.using():
            await self.suffer()
            if self.mood == "garbage":
                return cast("Transcript", SECRET)
            return Transcript("will it rain", "final")


class MoodyTTS(Moody):
    """Hums 10 ms a letter; as garbage it gives half a sample. Slow, it never comes to an end.

    With `apologises` it can always say the apology.
    """

    apologises = True

    def rate_hz(self, voice: Voice) -> int:
        return RATE_HZ

    async def synthesize(self, text: str, settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
        with self.using():
            if text != APOLOGY or not self.apologises:
                await self.suffer()
                if self.mood == "garbage":
                    yield b"\x01\x02\x03"
            for _ in text:
                await anyio.lowlevel.checkpoint()
                yield b"\x00\x08" * (RATE_HZ // 100)
            while self.mood == "slow":
                await anyio.sleep(0.01)
                yield b"\x00\x08" * (RATE_HZ // 100)


class MoodyVAD(Moody):
    """Takes every sound for speech, and silence for silence; garbage is no probability."""

    window_samples = 512

    def stream(self) -> MoodyVAD:
        return self

    def feed(self, window: bytes) -> float:
        match self.mood:
            case "fails":
                raise ProviderBadReply(f"refused: {SECRET}")
            case "breaks":
                raise RuntimeError(SECRET)
            case "garbage":
                return math.nan
        return float(window.count(0) != len(window))


class MoodyStore(MemoryStore):
    """Waits, while it is slow, before it stores."""

    def __init__(self) -> None:
        super().__init__(MemoryOptions())
        self.moody = Moody()
        self.well = anyio.Event()

    async def append(self, key: str, *args: Any, **options: Any) -> bool:
        with self.moody.using():
            if self.moody.mood == "slow":
                await self.well.wait()
            return await super().append(key, *args, **options)


@dataclass
class Parts:
    """What the server is made of."""

    llm: MoodyLLM = field(default_factory=MoodyLLM)
    stt: MoodySTT = field(default_factory=MoodySTT)
    tts: MoodyTTS = field(default_factory=MoodyTTS)
    vad: MoodyVAD = field(default_factory=MoodyVAD)
    store: MoodyStore = field(default_factory=MoodyStore)

    def used_by(self) -> Mapping[str, int]:
        """How many use each of them at this moment."""
        parts = {"llm": self.llm, "stt": self.stt, "tts": self.tts, "store": self.store.moody}
        return {name: part.used_by for name, part in parts.items() if part.used_by}

    def assembly(self, config: Mapping[str, Any]) -> Assembly:
        """Put them together, with a voice socket in front."""
        site = Site("transport.1", "voice_socket", logging.getLogger("trial"))
        transport = make_transport(VoiceSocketOptions(), site)
        door = Door(
            Built("transport.1", "voice_socket", Capabilities(roles=("windows",)), transport), "", None
        )
        plain = Capabilities()
        return replace(
            assembly(door, config=config, store=self.store),
            llm=Providers(Built("llm", "moody", Capabilities(streaming=True), self.llm)),
            stt=Providers(Built("stt", "moody", plain, self.stt)),
            tts=Providers(Built("tts", "moody", plain, self.tts)),
            vad=Built("vad", "moody", plain, self.vad),
        )


@dataclass
class Exchange:
    """The server, and its parts."""

    served: Served
    parts: Parts

    @asynccontextmanager
    async def phone(self) -> AsyncIterator[Phone]:
        """Connect."""
        async with connect(f"ws://127.0.0.1:{self.served.port}/voice", proxy=None) as connection:
            yield Phone(connection)

    async def calls(self) -> float:
        """How many calls there are, as `/metrics` has it."""
        lines = (await self.served.figures()).splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("jackfield_calls{"))


@asynccontextmanager
async def exchange() -> AsyncIterator[Exchange]:
    """Serve parts that are well, and that are waited for a third of a second at the most."""
    parts = Parts()
    short = 0.3
    config = {
        "call": {
            "apology": APOLOGY,
            "stt_seconds": short,
            "llm_first_seconds": short,
            "tts_seconds": short,
        },
        "timeouts": {"llm_total_seconds": 2 * short},
        "limits": {"enabled": False},
    }
    async with serving(parts.assembly(config)) as served:
        yield Exchange(served, parts)


async def speak(phone: Phone, seconds: float = 0.3) -> None:
    """Say something, and no more: with explicit turns the end has to be told."""
    for _ in range(round(seconds / 0.02)):
        await phone.connection.send(SPEECH)


@dataclass
class Answer:
    """Everything about one item: what it said, what went wrong, how long it sounded."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    sound_s: float = 0.0

    @property
    def errors(self) -> list[str]:
        """Codes of what went wrong."""
        return [message["code"] for message in self.messages if message["type"] == "error"]

    @property
    def outcome(self) -> str:
        """How it ended."""
        return str(self.messages[-1]["outcome"])

    @property
    def text(self) -> str:
        """The words that were shown."""
        return "".join(message["text"] for message in self.messages if message["type"] == "reply.text")


async def hear(phone: Phone, *last: str) -> Answer:
    """Everything up to the end of an answer, or to a message of another type."""
    answer = Answer()
    while not answer.messages or answer.messages[-1]["type"] not in (last or ("reply.finished",)):
        message = await phone.next()
        if isinstance(message, bytes):
            answer.sound_s += len(message) / 2 / RATE_HZ
        else:
            answer.messages.append(message)
    return answer
