"""Options of the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from jackfield.services import OrBlank, ServiceOptions
from jackfield_openai_account import AccountOptions, ResourceOptions

VOICES: Final = (
    "alloy",
    "ash",
    "ballad",
    "coral",
    "echo",
    "sage",
    "shimmer",
    "verse",
    "marin",
    "cedar",
)
"""Names that the service knows."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where sessions are opened, and what is said at the door."""

    base_url: str
    model: str
    headers: Mapping[str, str] = field(repr=False)


class RealtimeOptions(ServiceOptions):
    """How a model listens and speaks, and how it takes turns; wherever it is."""

    voice: str = Field(
        "marin", min_length=1, description="Voice, where neither a name nor a gender is asked for."
    )
    female_voice: str = Field("marin", min_length=1, description="Voice for the gender `female`.")
    male_voice: str = Field("cedar", min_length=1, description="Voice for the gender `male`.")
    speed: float = Field(1.0, ge=0.25, le=1.5, description="Speed of the voice; 1 is its own.")
    transcription_model: Annotated[str | None, OrBlank] = Field(
        "gpt-4o-mini-transcribe",
        description="Model that writes down what the user said, for the conversation that is kept. Empty: "
        "nothing of it is kept.",
    )
    turn_detection: Literal["server_vad", "semantic_vad"] = Field(
        "server_vad", description="How the service tells that the user has finished: by silence, or by sense."
    )
    vad_threshold: float = Field(
        0.5, ge=0, le=1, description="server_vad: how loud speech must be; greater for noisy places."
    )
    silence_ms: int = Field(500, gt=0, description="server_vad: milliseconds of silence that end a turn.")
    prefix_ms: int = Field(300, ge=0, description="server_vad: milliseconds kept from before speech.")
    eagerness: Literal["low", "medium", "high", "auto"] = Field(
        "auto", description="semantic_vad: how soon the model takes its turn."
    )
    noise_reduction: Literal["near_field", "far_field"] | None = Field(
        None, description="Filters noise: `near_field` for headsets, `far_field` for rooms."
    )
    max_output_tokens: int | None = Field(
        None, ge=1, le=4096, description="Most tokens of an answer. None sets no limit."
    )
    silence_s: float = Field(
        20.0, gt=0, description="Seconds within which the service must answer a ping; one is sent every 10 s."
    )
    keep_connections_s: float = Field(
        60.0, ge=0, description="Of no effect here: each call has one connection, for as long as it takes."
    )
    extra_session: dict[str, Any] = Field(
        default_factory=dict,
        description="Further members of the session object, as the service's documentation has them. They "
        "win over all others.",
    )

    @property
    def _further_headers(self) -> dict[str, str]:
        return {name: value.get_secret_value() for name, value in self.extra_headers.items()}


class OpenAIRealtimeOptions(RealtimeOptions, AccountOptions):
    """Options of the plugin `openai`."""

    model: str = Field(
        "gpt-realtime", min_length=1, description="Name of the model, as the service knows it."
    )

    @property
    def place(self) -> Place:
        """Where the model is."""
        headers = self._further_headers
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key.get_secret_value()}"
        if self.organization:
            headers["OpenAI-Organization"] = self.organization
        if self.project:
            headers["OpenAI-Project"] = self.project
        return Place(self.base_url, self.model, headers)


class AzureRealtimeOptions(RealtimeOptions, ResourceOptions):
    """Options of the plugin `azure_openai`."""

    @property
    def place(self) -> Place:
        """Where the deployment is."""
        headers = self._further_headers | {"api-key": self.api_key.get_secret_value()}
        return Place(f"{self.endpoint}/openai/v1", self.deployment, headers)
