"""Options of the voice, and who speaks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from jackfield.contracts.tts import Voice
from jackfield.services import OrBlank
from jackfield_openai_account import AccountOptions

_NAMES = (
    *("alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage"),
    *("shimmer", "verse"),
)


class Speakers(BaseModel):
    """Who speaks with an accent, and how they are told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    female: str | None = Field(None, description="Name of a voice.")
    male: str | None = Field(None, description="Name of a voice.")
    instructions: str | None = Field(None, description="How to speak, instead of the general instructions.")


class OpenAITTSOptions(AccountOptions):
    """Which model speaks, with which voices."""

    model: str = Field(
        "gpt-4o-mini-tts", min_length=1, description="Name of the model, as the service knows it."
    )
    female: str = Field("coral", description="Voice of those who want a woman's and name no accent.")
    male: str = Field("onyx", description="Voice of those who want a man's and name no accent.")
    gender: Literal["female", "male"] = Field("female", description="Where a request does not say.")
    accents: dict[str, Speakers] = Field(
        default_factory=dict,
        description='Voices of accents: `accents.british = { female = "fable", instructions = "Speak with a '
        'British accent." }`. What is left out is as without an accent.',
    )
    names: tuple[str, ...] = Field(
        _NAMES, description="Voices that a request may choose by name; other names count for nothing."
    )
    instructions: Annotated[str | None, OrBlank] = Field(
        None, description="How to speak, for models that can be told: mood, pace, accent."
    )
    speed: float = Field(1.0, ge=0.25, le=4, description="1 is the voice's own, 2 twice as fast.")
    response_format: Literal["pcm", "wav", "mp3", "opus", "flac", "aac"] = Field(
        "pcm",
        description="What the service is asked for. `pcm` and `wav` are heard while they come, the others "
        "once all is there; servers without `pcm` mostly have `wav`.",
    )
    rate_hz: int = Field(
        24_000,
        ge=8_000,
        le=48_000,
        description="Samples a second of the service's `pcm`; all else is converted to it.",
    )
    max_chars: int = Field(
        4096, ge=100, description="Most characters of one request; longer texts are sent in parts."
    )
    extra_body: dict[str, object] = Field(
        default_factory=dict,
        description="Further fields of the request, as the service's documentation has them. They win over "
        "all others.",
    )

    @property
    def every_voice(self) -> tuple[str, ...]:
        """Every voice that may speak."""
        speakers = [name for each in self.accents.values() for name in (each.female, each.male) if name]
        return tuple(dict.fromkeys((*self.names, self.female, self.male, *speakers)))

    def speaker(self, voice: Voice) -> str:
        """The name of the voice that comes nearest."""
        if voice.name in self.every_voice:
            return voice.name or self.female
        gender = voice.gender or self.gender
        found = self.accents.get(voice.accent or "", Speakers())
        first, second = (found.female, found.male) if gender == "female" else (found.male, found.female)
        return first or second or (self.female if gender == "female" else self.male)

    def told(self, voice: Voice) -> str | None:
        """How that voice is told to speak."""
        return self.accents.get(voice.accent or "", Speakers()).instructions or self.instructions
