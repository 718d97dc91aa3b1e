"""Options of the recogniser."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from jackfield.services import OrBlank
from jackfield_openai_account import AccountOptions


class OpenAISTTOptions(AccountOptions):
    """Which model hears, and what it is told."""

    model: str = Field(
        "gpt-4o-mini-transcribe", min_length=1, description="Name of the model, as the service knows it."
    )
    language: Annotated[str | None, OrBlank] = Field(
        None,
        description="Tag such as `en` or `pl-PL`, where the client names no language; the service gets its "
        "first part. None lets the model find out.",
    )
    prompt: Annotated[str | None, OrBlank] = Field(
        None, description="Text in the style of what will be said. Words that a request expects follow it."
    )
    silence: float = Field(
        0.003,
        ge=0,
        lt=1,
        description="Loudest sample, of 1, up to which an utterance counts as silence and is not sent: "
        "models invent words for it, and services charge for it. 0 sends all but perfect silence.",
    )
    extra_fields: dict[str, str] = Field(
        default_factory=dict,
        description="Further fields of the form, as the service's documentation has them, such as "
        "`temperature`. They win over all others.",
    )
