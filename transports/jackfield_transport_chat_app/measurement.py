"""What is measured of one exchange: its tokens, its times and its tools."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final, Literal

from jackfield.contracts.llm import Finish, Usage
from jackfield.contracts.turn import ToolFinished, ToolStarted, TurnOutput

_SHORTEST_S: Final = 1e-6
"""No answer comes faster; nothing is divided by zero."""
_NOTHING: Final = Usage(0, 0)


@dataclass(slots=True)
class ToolActivity:
    """One call of a tool."""

    name: str
    status: Literal["started", "ok", "error"] = "started"
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of an exchange that is over."""

    usage: Usage
    """All zero when no model was asked, as for an answer from a cache."""
    latency_s: float
    """From the arrival of the message to the end of the reply."""
    first_token_s: float
    """From the arrival of the message to the first words."""
    generation_s: float
    """From asking the model to its last words, without the time that tools took."""
    tools: tuple[ToolActivity, ...]
    model: str

    @property
    def tokens(self) -> int:
        """Tokens of prompt and answer."""
        return self.usage.prompt_tokens + self.usage.completion_tokens

    @property
    def tokens_per_second(self) -> float:
        """How fast the model wrote."""
        return self.usage.completion_tokens / self.generation_s


@dataclass(slots=True)
class Measurement:
    """Takes the outputs of a turn as they come. Times are of `time.perf_counter`."""

    received_s: float
    """When the message arrived."""
    asked_s: float = field(default_factory=time.perf_counter)
    """When the turn began; messages may have waited before."""
    _first_s: float | None = None
    _last_s: float | None = None
    _tools: dict[str, ToolActivity] = field(default_factory=dict)

    def take(self, output: TurnOutput) -> None:
        """Note an output that came now."""
        if isinstance(output, str):
            self._last_s = time.perf_counter()
            if self._first_s is None and output and not output.isspace():
                self._first_s = self._last_s
        elif isinstance(output, ToolStarted):
            self._tools[output.id] = ToolActivity(output.name)
        elif isinstance(output, ToolFinished):
            status: Literal["ok", "error"] = "ok" if output.ok else "error"
            self._tools[output.id] = ToolActivity(output.name, status, output.seconds)

    def end(self, finish: Finish) -> Measured:
        """Give what was measured; the reply ends now."""
        now_s = time.perf_counter()
        last_s = self._last_s or now_s
        first_s = self._first_s or last_s
        tools = tuple(self._tools.values())
        writing_s = last_s - self.asked_s - sum(tool.seconds for tool in tools)
        return Measured(
            finish.usage or _NOTHING,
            latency_s=now_s - self.received_s,
            first_token_s=first_s - self.received_s,
            generation_s=max(writing_s, _SHORTEST_S),
            tools=tools,
            model=finish.model,
        )
