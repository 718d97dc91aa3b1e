"""What a turn cost: the tokens of all generations that it took."""

from __future__ import annotations

from collections.abc import Sequence

from jackfield.contracts.llm import LLM, Message, ToolCall, Usage
from jackfield.dialogue.history import token_counter, tokens_of


class Consumption:
    """Adds up the tokens of one turn: one generation, and one more for each round of tools."""

    def __init__(self, llm: LLM) -> None:
        self.total = Usage(0, 0)
        self._llm = llm

    def add(
        self, usage: Usage | None, prompt: Sequence[Message], text: str, calls: Sequence[ToolCall]
    ) -> Usage:
        """Add a generation and give its usage, which is estimated where the model told none."""
        if usage is None:
            usage = self._estimate(prompt, text, calls)
        total = self.total
        self.total = Usage(
            total.prompt_tokens + usage.prompt_tokens,
            total.completion_tokens + usage.completion_tokens,
            total.cached_tokens + usage.cached_tokens,
            estimated=total.estimated or usage.estimated,
        )
        return usage

    def _estimate(self, prompt: Sequence[Message], text: str, calls: Sequence[ToolCall]) -> Usage:
        count = token_counter(self._llm)
        said = [text, *(f"{call.name} {call.arguments}" for call in calls)]
        return Usage(tokens_of(prompt, count), sum(count(part) for part in said if part), estimated=True)
