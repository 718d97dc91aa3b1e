"""What a client is told when a provider or a store failed. The reason goes to the log."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from jackfield.assembly import Built
from jackfield.contracts.extension import Event
from jackfield.contracts.failover import Failover
from jackfield.dialogue.steps import Work
from jackfield.dialogue.waterfall import Stage, Waterfall
from jackfield.errors import (
    ContextTooLong,
    FieldError,
    ProtocolError,
    ProviderError,
    ProviderTimedOut,
    StoreUnavailable,
)
from jackfield.resilience.reporting import tell_failure

_WHO = {"llm": "language model", "stt": "speech recogniser", "tts": "voice"}


def client_error(stage: Literal["llm", "stt", "tts"], error: ProviderError) -> ProtocolError:
    """Translate a provider's failure; the detail holds nothing of what the provider said."""
    if isinstance(error, ProviderTimedOut):
        return ProtocolError(504, f"{stage}_timeout", f"The {_WHO[stage]} did not answer in time.")
    if stage == "llm" and isinstance(error, ContextTooLong):
        detail = "The message is too long for the language model."
        return ProtocolError(422, "invalid_request", detail, (FieldError("message", "too_long", detail),))
    return ProtocolError(502, f"{stage}_failed", f"The {_WHO[stage]} failed.")


def code_of(stage: Literal["llm", "stt", "tts"], error: Exception) -> str:
    """The code that a client is told of whatever went wrong in a stage."""
    if isinstance(error, ProtocolError):
        return error.code
    if isinstance(error, StoreUnavailable):
        return "store_unavailable"
    return client_error(stage, error).code if isinstance(error, ProviderError) else f"{stage}_failed"


def failover_noted(after_s: float, waterfall: Waterfall, stage: Stage, work: Work) -> Failover:
    """How long a provider of a chain is waited for in a turn, whose waterfall and step note how it goes."""
    return Failover(after_s, partial(waterfall.reached, stage), work.asked, work.failed)


def report(built: Built[Any], error: Exception, publish: Callable[[Event], None]) -> None:
    """Tell the observers and the log that a provider failed."""
    tell_failure((built.section, built.plugin), error, publish)
