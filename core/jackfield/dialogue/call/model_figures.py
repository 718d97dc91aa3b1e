"""Figures of calls with speech-to-speech models."""

from __future__ import annotations

from jackfield.assembly import Built
from jackfield.contracts.panel import Metrics
from jackfield.contracts.realtime import Realtime, RealtimeUsage


class ModelFigures:
    """Counts sessions, tokens, seconds of sound and calls of tools."""

    def __init__(self, metrics: Metrics) -> None:
        self._sessions = metrics.gauge(
            "jackfield_realtime_sessions", "Sessions with speech-to-speech models now.", ["section"]
        )
        self._seconds = metrics.counter(
            "jackfield_realtime_audio_seconds_total",
            "Seconds of sound that speech-to-speech models were given and made.",
            ["section", "direction"],
        )
        self._tokens = metrics.counter(
            "jackfield_tokens_total", "Tokens of prompts and answers.", ["transport", "kind"]
        )
        self._tool_calls = metrics.counter(
            "jackfield_tool_calls_total", "Calls of tools by models.", ["transport", "outcome"]
        )

    def opened(self, model: Built[Realtime]) -> None:
        """A session began."""
        self._sessions.inc(model.section)

    def closed(self, model: Built[Realtime]) -> None:
        """A session ended."""
        self._sessions.inc(model.section, by=-1)

    def heard(self, model: Built[Realtime], in_s: float, out_s: float) -> None:
        """A session had so much more sound."""
        self._seconds.inc(model.section, "in", by=in_s)
        self._seconds.inc(model.section, "out", by=out_s)

    def used(self, transport: str, usage: RealtimeUsage) -> None:
        """An answer took so many tokens."""
        self._tokens.inc(transport, "prompt", by=usage.input_tokens)
        self._tokens.inc(transport, "completion", by=usage.output_tokens)

    def tool_called(self, transport: str, *, ok: bool) -> None:
        """A tool was called."""
        self._tool_calls.inc(transport, "ok" if ok else "error")
