"""Options of the recogniser."""

from __future__ import annotations

import os

from pydantic import Field

from jackfield import Options


class FasterWhisperOptions(Options):
    """Which model, and how it runs."""

    model: str = Field(
        "whisper-tiny.en",
        description="A model of the catalogue, or a folder with a Whisper model in CTranslate2's format.",
    )
    language: str | None = Field(
        None,
        description="Language code such as `en`, where the client names none. None lets a multilingual "
        "model find out, which takes longer.",
    )
    threads: int = Field(
        default_factory=lambda: max(1, (os.cpu_count() or 1) // 2),
        ge=1,
        description="Threads of one recognition. By default half of the processors.",
    )
    workers: int = Field(2, ge=1, description="Recognitions at once; further ones wait.")
    compute_type: str = Field("int8", description="Number format of CTranslate2: `int8`, `float32`, ...")
    beam_size: int = Field(
        5, ge=1, description="Readings followed at once, except in the short window; fewer are faster."
    )
    fast: bool = Field(
        True,
        description="Whether utterances up to 9 s are heard in a short window: several times faster.",
    )
    speech_threshold: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Probability of speech (0 to 1) under which sound counts as silence; 0 hears everything.",
    )
