"""What the door may be told in the configuration file."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, field_validator

from jackfield import Options
from jackfield_transport_speech_assistant.ice import Relays, ice_urls
from jackfield_transport_speech_assistant.telephone.options import TelephoneOptions


class SpeechAssistantOptions(Options):
    """How browsers reach this server, and how many sessions somebody may have."""

    turn_server: str = Field(
        "",
        description="STUN and TURN servers that browsers are told of, separated by commas: `turn:`, "
        "`turns:` or `stun:` URLs, or `host[:port]` of a TURN server. Empty is none.",
    )
    turn_username: str = Field("", description="Name at the TURN server, the same for every user.")
    turn_credential: SecretStr = Field(SecretStr(""), description="Password that goes with `turn_username`.")
    turn_secret: SecretStr = Field(
        SecretStr(""),
        description="Secret shared with the TURN server (`static-auth-secret` of coturn): each user is then "
        "given credentials of their own that expire, instead of `turn_username` and `turn_credential`.",
    )
    turn_ttl_s: float = Field(
        7_200.0, ge=60, description="Seconds for which such credentials are good: at least as long as a call."
    )
    relay_server: bool = Field(
        False,
        description="Whether this server uses `turn_server` for its own end too: needed where browsers "
        "cannot reach its addresses. Answers then take as long as those servers do.",
    )
    connect_s: float = Field(
        30.0, gt=0, description="Seconds within which a browser must come after its offer."
    )
    offer_s: float = Field(600.0, ge=1, description="Seconds within which a session's offer must come.")
    sessions_per_user: int = Field(2, ge=1, le=100, description="Live sessions of a user.")
    media: Literal["terminate", "pass_through"] = Field(
        "terminate",
        description="Where browsers' sound goes: to this server, or past it to the speech-to-speech model of "
        "`[realtime]`, which has to take offers.",
    )
    expose_provider_secret: bool = Field(
        False,
        description="Whether `client_secret` is a key of the provider's, for pages that call it themselves, "
        "past the limits of this server.",
    )
    telephone: TelephoneOptions | None = Field(
        None,
        description="Telephone calls by way of Twilio (`pip install 'jackfield[twilio]'`); without it there "
        "are none.",
    )

    @field_validator("turn_server")
    @classmethod
    def _addresses(cls, value: str) -> str:
        ice_urls(value)
        return value

    def relays(self) -> Relays:
        """The STUN and TURN servers."""
        return Relays(
            _given(self.turn_server),
            _given(self.turn_username),
            _given(self.turn_credential.get_secret_value()),
            _given(self.turn_secret.get_secret_value()),
            self.turn_ttl_s,
        )


def _given(value: str) -> str:
    """Placeholders that a file of variables came with are nothing."""
    return "" if value.startswith("your_") else value
