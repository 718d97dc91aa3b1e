"""What a client is told when a provider or a store failed. The reason goes to the log."""

from __future__ import annotations

from typing import Literal

from jackfield.errors import ContextTooLong, FieldError, ProtocolError, ProviderError, ProviderTimedOut

_WHO = {"llm": "language model", "stt": "speech recogniser", "tts": "voice"}


def client_error(stage: Literal["llm", "stt", "tts"], error: ProviderError) -> ProtocolError:
    """Translate a provider's failure; the detail holds nothing of what the provider said."""
    if isinstance(error, ProviderTimedOut):
        return ProtocolError(504, f"{stage}_timeout", f"The {_WHO[stage]} did not answer in time.")
    if stage == "llm" and isinstance(error, ContextTooLong):
        detail = "The message is too long for the language model."
        return ProtocolError(422, "invalid_request", detail, (FieldError("message", "too_long", detail),))
    return ProtocolError(502, f"{stage}_failed", f"The {_WHO[stage]} failed.")
