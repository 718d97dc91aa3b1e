"""Figures of sound: how work on it went, and how many seconds of it providers were given or made."""

from __future__ import annotations

from typing import Any, Literal

from jackfield.assembly import Built
from jackfield.contracts.panel import Metrics


class AudioFigures:
    """Counts for clips and calls alike."""

    def __init__(self, metrics: Metrics) -> None:
        self._total = metrics.counter(
            "jackfield_audio_total", "Steps of audio processing.", ["stage", "outcome"]
        )
        self._seconds = metrics.counter(
            "jackfield_audio_seconds_total",
            "Seconds of sound that recognisers were given and voices made.",
            ["section"],
        )

    def step(self, stage: Literal["decode", "stt", "tts"], *, ok: bool) -> None:
        """Count a step of work on a clip."""
        self._total.inc(stage, "ok" if ok else "error")

    def used(self, provider: Built[Any], seconds: float) -> None:
        """Count what a recogniser was given, or a voice has made."""
        self._seconds.inc(provider.section, by=seconds)
