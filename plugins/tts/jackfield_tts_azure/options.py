"""Options of the voices."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from jackfield_azure_speech_account import AccountOptions


class Speakers(BaseModel):
    """Who speaks with an accent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    language: str = Field(description="BCP 47 tag of what they speak.")
    female: str | None = Field(None, description="Name of a voice, such as `pl-PL-ZofiaNeural`.")
    male: str | None = Field(None, description="Name of a voice.")

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if not (self.female or self.male):
            raise ValueError("`female` or `male` must be given")
        return self

    def name(self, gender: Literal["female", "male"]) -> str:
        """Name the voice of that gender, or of the other where there is only one."""
        first, second = (self.female, self.male) if gender == "female" else (self.male, self.female)
        return first or second or ""


_VOICES: Final[Mapping[str, Speakers]] = MappingProxyType(
    {
        "polish": Speakers(language="pl-PL", female="pl-PL-ZofiaNeural", male="pl-PL-MarekNeural"),
        "american": Speakers(language="en-US", female="en-US-JennyNeural", male="en-US-GuyNeural"),
        "british": Speakers(language="en-GB", female="en-GB-SoniaNeural", male="en-GB-RyanNeural"),
    }
)
_ANY_LANGUAGE: Final = Speakers(
    language="en-US", female="en-US-AvaMultilingualNeural", male="en-US-AndrewMultilingualNeural"
)


class AzureTTSOptions(AccountOptions):
    """Whose account, which place, and who speaks."""

    voices: dict[str, Speakers] = Field(
        default_factory=lambda: dict(_VOICES),
        min_length=1,
        description="The voices of each accent: `language`, and the names `female` and `male`.",
    )
    multilingual: Speakers = Field(
        _ANY_LANGUAGE, description="Who speaks languages that are not in `voices`, as `voices` has it."
    )
    accent: str = Field(
        "american", description="A name from `voices`, where a request asks for no accent and no language."
    )
    gender: Literal["female", "male"] = Field("female", description="Where a request does not say.")
    rate_hz: Literal[8000, 16000, 24000, 48000] = Field(24000, description="Samples a second.")
    visemes: bool = Field(False, description="Whether to tell the shapes of the mouth, numbers from 0 to 21.")
    connections: int = Field(
        16, ge=1, description="Syntheses at once, each over a connection of its own; further ones wait."
    )
    connect_s: float = Field(3.0, gt=0, description="Seconds within which a connection must stand.")
    timeout_s: float = Field(
        10.0, gt=0, description="Seconds without any sound after which the service is given up."
    )

    @model_validator(mode="after")
    def _known_accent(self) -> Self:
        if self.accent not in self.voices:
            raise ValueError("`accent` must be one of the names in `voices`")
        return self
