"""Parts of a call that do everything at random: how long they take, whether they fail, what they say.

What they say tells where it comes from: every word of an answer, and every sample of its sound, is the
number of the request that it answers.
"""

from __future__ import annotations

import random
import struct
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Final

import anyio

from jackfield.contracts.llm import Finish, GenerationRequest, LLMOutput
from jackfield.contracts.stt import STTStream, Transcript, TranscriptionSettings, WholeUtteranceSTT
from jackfield.contracts.tts import SpeechSettings, TTSOutput, Voice
from jackfield.errors import ProviderBadReply, ProviderUnavailable
from jackfield_session_memory import MemoryOptions, MemoryStore

RATE_HZ: Final = 24_000
LETTER_SAMPLES: Final = RATE_HZ * 60 // 1000


class Dice:
    """Decides everything. While it is `kind`, nothing takes long and nothing fails."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.kind = False

    def delay_s(self, most_s: float) -> float:
        """How long something takes."""
        return 0.01 if self.kind else self.random.choice([0, 0.01, self.random.uniform(0, most_s)])

    async def suffer(self) -> None:
        """Fail, hang, or do neither."""
        if self._misfortune(0.03):
            raise self.random.choice([ProviderUnavailable("x"), ProviderBadReply("x"), RuntimeError("x")])
        if self._misfortune(0.03):
            await anyio.sleep_forever()

    def _misfortune(self, probability: float) -> bool:
        return not self.kind and self.random.random() < probability


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answer is to."""

    text: str
    history: tuple[tuple[bool, str], ...]
    """Earlier messages: whether each is the user's, and its text."""


class RandomLLM:
    """Says the number of the request in every word, and keeps the requests by their numbers."""

    def __init__(self, dice: Dice) -> None:
        self.dice = dice
        self.asked: dict[int, Asked] = {}

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        said = [(m.role == "user", m.content) for m in request.messages if m.role != "system"]
        mine = len(self.asked) + 1
        self.asked[mine] = Asked(said[-1][1], tuple(said[:-1]))
        for number in range(self.dice.random.randint(15 if self.dice.kind else 1, 30)):
            await anyio.sleep(self.dice.delay_s(0.4))
            await self.dice.suffer()
            yield f"{mine}{self.dice.random.choice([' ', ', ', '. '])}" if number else f"{mine} "
        yield Finish("stop")


class RandomSTT(WholeUtteranceSTT):
    """Hears nothing, or something: most often what it has never heard before.

    Sometimes the final transcript is another than the tentative one of the same sound.
    """

    def __init__(self, dice: Dice) -> None:
        self.dice = dice
        self.heard = 0

    def stream(self, settings: TranscriptionSettings) -> STTStream:
        stream = super().stream(settings)
        end = stream.end_utterance

        def end_utterance(*, unchanged: bool = False) -> None:
            end(unchanged=unchanged and self.dice.random.random() < 0.8)

        setattr(stream, "end_utterance", end_utterance)  # noqa: B010
        return stream

    async def recognize(self, pcm: bytes, settings: TranscriptionSettings) -> Transcript:
        await anyio.sleep(self.dice.delay_s(1.5))
        await self.dice.suffer()
        self.heard += self.dice.random.random() < 0.8
        text = self.dice.random.choice(["", "word{}", "word{} two", "word{} two three"])
        return Transcript(("word{}" if self.dice.kind else text).format(self.heard), "final")


class RandomStore(MemoryStore):
    """Takes its time."""

    def __init__(self, dice: Dice) -> None:
        super().__init__(MemoryOptions())
        self.dice = dice

    async def append(self, key: str, *args: Any, **options: Any) -> bool:
        await anyio.sleep(self.dice.delay_s(0.5))
        return await super().append(key, *args, **options)


class RandomTTS:
    """Puts the number that it reads into every sample; 0 where there is none. Keeps what it has read."""

    def __init__(self, dice: Dice) -> None:
        self.dice = dice
        self.read: dict[int, list[str]] = {}

    def rate_hz(self, voice: Voice) -> int:
        return RATE_HZ

    async def synthesize(self, text: str, settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
        first = text.split(maxsplit=1)[0].strip(",. ")
        number = int(first) if first.isdigit() else 0
        for at, _ in enumerate(text):
            await anyio.sleep(self.dice.delay_s(0.1))
            await self.dice.suffer()
            if not at:  # what fails before is tried again
                self.read.setdefault(number, []).append(text)
            yield struct.pack("<h", number) * LETTER_SAMPLES
