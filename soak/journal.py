"""What a client of a cluster was told, and how it compares with what the cluster has in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

PREFIX: Final = "You said: "
"""Before the message that is said back."""


@dataclass
class Journal:
    """What happened to one client. Moments are those of the monotonic clock."""

    asked: list[str] = field(default_factory=list)
    """Messages that are stored for certain, in their order."""
    answered: list[str] = field(default_factory=list)
    """Those of them whose answers are."""
    waits: list[tuple[float, float]] = field(default_factory=list)
    """Of each message, when it was sent for the first time and when it was known to be stored."""
    failures: list[tuple[float, str]] = field(default_factory=list)
    """When a message was lost, and how."""
    found: int = 0
    """Messages that were stored although nobody could say so any more."""
    repeated: int = 0
    """Messages that were not stored, and sent again."""
    connections: int = 0

    def longest_wait_s(self, since_s: float = 0.0) -> float:
        """Of the messages that were stored after a moment, however early they were sent."""
        return max((ended - began for began, ended in self.waits if ended > since_s), default=0.0)

    def served_since(self, moment_s: float) -> bool:
        """Whether a message was sent and stored since."""
        return bool(self.waits) and self.waits[-1][0] > moment_s

    def failures_since(self, moment_s: float) -> list[str]:
        """How messages were lost since."""
        return [how for at_s, how in self.failures if at_s > moment_s]

    def differences(self, messages: Sequence[dict[str, Any]]) -> list[str]:
        """What is wrong with the conversation, `messages` of which the cluster has, oldest first."""
        found = [message["content"] for message in messages if message["role"] == "user"]
        lost, extra = Counter(self.asked) - Counter(found), Counter(found) - Counter(self.asked)
        wrong = [f"{text}: was acknowledged and is lost" for text in lost.elements()]
        wrong += [f"{text}: is there and was not to be, or is there twice" for text in extra.elements()]
        if not wrong and found != self.asked:
            wrong.append(f"{self.asked[0]}: the messages are not in their order")
        answers = {
            question["content"]: answer["content"]
            for question, answer in pairwise(messages)
            if question["role"] == "user" and answer["role"] == "assistant"
        }
        lost_answers = [text for text in self.answered if answers.get(text) != PREFIX + text]
        return wrong + [f"{text}: its answer was acknowledged and is lost" for text in lost_answers]
