"""A stage for turns: an assistant with the parts that a test wants, and a record of what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jackfield.assembly import Assembly, Built, Providers
from jackfield.audio.clips import ClipFolder, ClipLimits, ClipStore
from jackfield.config.sections import Config
from jackfield.contracts.auth import UserId
from jackfield.contracts.extension import Event, Scanner, TurnWrapper
from jackfield.contracts.llm import LLM
from jackfield.contracts.session import SessionStore, Window
from jackfield.contracts.stt import STT
from jackfield.contracts.tools import Tool
from jackfield.contracts.tts import TTS
from jackfield.contracts.turn import ConversationRef, TurnOutput, TurnRequest
from jackfield.dialogue.assistant import DialogueAssistant
from jackfield.dialogue.scenarios import ScenarioTable
from jackfield.dialogue.sessions import SessionService
from jackfield.plugin import ROLES, Capabilities
from jackfield.testing import ManualClock
from jackfield_llm_echo import EchoLLM, EchoOptions
from jackfield_session_memory import MemoryOptions, MemoryStore

USER = UserId("claimed:", "ada")
CONVERSATION = ConversationRef("", USER, "session-1")


@dataclass
class Figure:
    """A metric that remembers."""

    values: dict[tuple[str, ...], float] = field(default_factory=dict)
    observed: list[tuple[float, tuple[str, ...]]] = field(default_factory=list)

    def inc(self, *labels: str, by: float = 1.0) -> None:
        self.values[labels] = self.values.get(labels, 0.0) + by

    def set(self, value: float, *labels: str) -> None:
        self.values[labels] = value

    def observe(self, value: float, *labels: str) -> None:
        self.observed.append((value, labels))


@dataclass
class Figures:
    """Metrics by name."""

    named: dict[str, Figure] = field(default_factory=dict)

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Figure:
        return self.named.setdefault(name, Figure())

    def gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Figure:
        return self.named.setdefault(name, Figure())

    def histogram(
        self, name: str, text: str, labels: Sequence[str] = (), buckets: Sequence[float] = ()
    ) -> Figure:
        return self.named.setdefault(name, Figure())


class Stage:
    """An assistant, its store and what it told the world."""

    def __init__(
        self,
        folder: Path,
        *,
        llm: LLM | None = None,
        stt: STT | None = None,
        tts: TTS | None = None,
        named: Mapping[str, LLM] | None = None,
        store: SessionStore | None = None,
        tools: Sequence[Tool] = (),
        scanners: Sequence[Scanner] = (),
        wrappers: Sequence[TurnWrapper] = (),
        context_tokens: int | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self.clock = ManualClock()
        self.events: list[Event] = []
        self.figures = Figures()
        self.config = Config.model_validate(config or {})
        self.store = MemoryStore(MemoryOptions(), clock=self.clock)
        can = Capabilities(context_tokens=context_tokens)
        found: SessionStore = store or self.store
        self.assembly = Assembly(
            config=self.config,
            llm=Providers(
                Built("llm", "echo", can, llm or EchoLLM(EchoOptions())),
                {
                    name: Built(f"llm.named.{name}", "echo", can, model)
                    for name, model in (named or {}).items()
                },
            ),
            stt=Providers(Built("stt", "ears", Capabilities(), stt) if stt else None),
            tts=Providers(Built("tts", "mouth", Capabilities(), tts) if tts else None),
            realtime=Providers(),
            vad=None,
            stores={role: Built("session", "memory", Capabilities(roles=ROLES), found) for role in ROLES},
            doors=(),
            auths={},
            tools=tuple(Built("extension.1", "tools", Capabilities(), tool) for tool in tools),
            scanners=tuple(Built("extension.2", "guard", Capabilities(), each) for each in scanners),
            turn_wrappers=tuple(Built("extension.3", "wrap", Capabilities(), each) for each in wrappers),
        )
        self.sessions = SessionService(
            self.assembly.stores,
            secret=b"a secret of the server",
            settings=self.config.session,
            store_s=self.config.timeouts.store_seconds,
            metrics=self.figures,
            publish=self.events.append,
        )
        self.clip_folder = folder / "clips"
        limits = ClipLimits(ttl_s=3600, max_total_bytes=10_000_000)
        self.clips = ClipStore(ClipFolder(self.clip_folder, limits), container="wav")
        self.assistant = DialogueAssistant(
            self.assembly,
            sessions=self.sessions,
            scenarios=ScenarioTable(self.config),
            clips=self.clips,
            metrics=self.figures,
            publish=self.events.append,
        )

    async def outputs(self, text: str, **changes: Any) -> list[TurnOutput]:
        """Everything that a turn yields."""
        async with aclosing(self.assistant.reply(request(text, **changes))) as stream:
            return [output async for output in stream]

    async def say(self, text: str, **changes: Any) -> str:
        """The text of a turn's answer."""
        outputs = await self.outputs(text, **changes)
        return "".join(output for output in outputs if isinstance(output, str))

    async def window(self, conversation: ConversationRef = CONVERSATION) -> Window:
        """What is stored of a conversation."""
        return await self.sessions.window(conversation) or Window()

    async def stored(self) -> list[tuple[bool, str]]:
        """Whether each stored message is the user's, and its text."""
        return [(message.is_user, message.content) for message in (await self.window()).messages]

    def kinds(self) -> list[str]:
        """Names of the classes of the events so far."""
        return [type(event).__name__ for event in self.events]


def request(text: str, **changes: Any) -> TurnRequest:
    """A turn in the usual conversation."""
    return TurnRequest(**{"conversation": CONVERSATION, "text": text, "transport": "trial", **changes})
