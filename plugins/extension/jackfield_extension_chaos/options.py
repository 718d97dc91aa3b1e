"""What goes wrong, where and how often."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from jackfield import Options

Trouble = Literal[
    "delay",
    "stall",
    "unavailable",
    "rate_limited",
    "unauthorized",
    "timed_out",
    "bad_reply",
    "refused",
    "context_too_long",
    "content_filtered",
    "garbage",
    "crash",
]


class Rule(Options):
    """One way in which the providers of some sections fail."""

    section: str = Field(
        description="Section of the providers that fail: `llm`, `llm.fallback.1`; `*` stands for anything."
    )
    do: Trouble = Field(
        description="What happens: `delay` waits for `delay_s` and no more, `stall` falls silent for good, "
        "`garbage` gives what no provider may give, `crash` raises an error that no provider may raise; the "
        "others are the categories of provider errors."
    )
    probability: float = Field(1.0, ge=0, le=1, description="Share of the requests that it happens to.")
    after_outputs: int = Field(
        0,
        ge=0,
        description="Outputs that still come before it happens; 0 is before the first. STT: of an utterance, "
        "whose final transcript is never given.",
    )
    connecting: bool = Field(
        False, description="STT: whether it happens when a stream is opened, not when an utterance is heard."
    )
    delay_s: float = Field(0.0, ge=0, description="Seconds to wait before it happens.")
    retry_after_s: float | None = Field(
        None, ge=0, description="`rate_limited`, `unavailable`: seconds that the provider asks to wait."
    )
    times: int | None = Field(None, ge=1, description="How often it happens at most. None sets no bound.")


class ChaosOptions(Options):
    """Which providers fail."""

    rules: tuple[Rule, ...] = Field(
        (), description="Looked at in order for each request: the first that strikes decides."
    )
    seed: int | None = Field(
        None, description="Makes the dice of each section fall the same in every run. None: never the same."
    )
