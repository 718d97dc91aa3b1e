"""Options of the door: what its users may choose from, and how much they may send."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from jackfield import Options


class Model(BaseModel):
    """A language model that users may choose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    llm: str | None = Field(
        None,
        description="A name from `[llm.named]`. Without it the model's own name is looked for there, and the "
        "default `[llm]` answers where there is none.",
    )
    aliases: tuple[str, ...] = Field((), description="Other names under which clients may choose it.")


class Accent(BaseModel):
    """An accent that users may choose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    language: str = Field(description="BCP 47 tag of what is spoken.")
    female: str | None = Field(
        None, description="The voice plugin's own name of a woman's voice; without it the plugin chooses."
    )
    male: str | None = Field(None, description="The same for a man's voice.")


_MODELS: Final[Mapping[str, Model]] = MappingProxyType(
    {"gpt-4": Model(), "gpt-3.5-turbo": Model(aliases=("gpt-35", "gpt-35-turbo", "gpt-3.5"))}
)
_ACCENTS: Final[Mapping[str, Accent]] = MappingProxyType(
    {
        "polish": Accent(language="pl-PL"),
        "american": Accent(language="en-US"),
        "british": Accent(language="en-GB"),
    }
)


class PichatOptions(Options):
    """What pichat's users may choose from, and how much they may send."""

    models: dict[str, Model] = Field(
        default_factory=lambda: dict(_MODELS),
        min_length=1,
        description="Models that users may select, the first for those who have not; each may name an `llm` "
        "of `[llm.named]` and `aliases`.",
    )
    accents: dict[str, Accent] = Field(
        default_factory=lambda: dict(_ACCENTS),
        min_length=1,
        description="Accents that users may select, the first for those who have not: `language`, and names "
        "of voices, `female` and `male`.",
    )
    max_text_chars: int = Field(
        16_000, ge=1, le=1_000_000, description="Characters of a message, after normalising."
    )
    max_speech_chars: int = Field(
        4_000, ge=1, le=1_000_000, description="Characters of a text that is to be spoken."
    )
    max_frame_bytes: int = Field(
        16 * 1024 * 1024,
        ge=1024,
        le=16 * 1024 * 1024,
        description="Size of one message of a client's; recordings in base64 are the large ones.",
    )
    max_requests: int = Field(
        32, ge=1, description="Requests of one socket that may be worked on or wait at once."
    )

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [name for key, model in self.models.items() for name in (key, *model.aliases)]
        if len({name.lower() for name in names}) < len(names):
            raise ValueError("two of `models` have the same name or alias")
        return self
