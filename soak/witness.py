"""What a caller makes of what the server says: answers counted, and everything wrong noted."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import anyio

from soak.server import PREFIX
from soak.tally import Tally

TYPED = re.compile(r"typed (\d+)$")


class Witness:
    """Follows one call. Every answer has to be to what was said last, and to be told in order."""

    def __init__(self, tally: Tally, complain: Callable[[str], None]) -> None:
        self.started = anyio.Event()
        self.ended: str | None = None
        """The reason that the server gave."""
        self.open_item: int | None = None
        self.sounding = False
        """Whether sound of the open item has come."""
        self.finished = 0
        """Answers that are over."""
        self._tally = tally
        self._complain = complain
        self._last_item = 0
        self._shown = ""
        self._heard = ""
        self._last_typed = 0

    def sound(self, data: bytes) -> None:
        self._tally.counts["messages of sound"] += 1
        self.sounding = True
        if self.open_item is None:
            self._complain("sound outside of an answer")

    def closed(self) -> None:
        """Whoever calls looks at the line."""

    def event(self, message: dict[str, Any]) -> None:
        match message:
            case {"type": "started"}:
                self.started.set()
            case {"type": "transcript", "final": True, "text": text}:
                self._heard = text
            case {"type": "reply.started", "item": item}:
                self._begin(item)
            case {"type": "reply.text", "item": item, "text": text}:
                self._check(item == self.open_item, "words outside of their answer")
                self._shown += text
            case {"type": "reply.finished"}:
                self._finish(message)
            case {"type": "error", "code": code}:
                self._complain(f"error {code}")
            case {"type": "ended", "reason": reason}:
                self.ended = reason

    def _begin(self, item: int) -> None:
        self._check(self.open_item is None, "an answer began within another")
        self._check(item == self._last_item + 1, "the number of an answer was left out")
        self._last_item = self.open_item = item
        self._shown = ""
        self.sounding = False

    def _finish(self, message: dict[str, Any]) -> None:
        text, outcome = message["text"], message["outcome"]
        self._tally.counts[f"answers {outcome}"] += 1
        self._check(message["item"] == self.open_item, "an answer ended that was not the one")
        self._check(self._shown.startswith(text), "more was heard than was written")
        if outcome == "ok":
            self._check(text == self._shown, "an answer was not heard to its end")
            self._fresh(text)
        elif outcome == "failed":
            self._complain("an answer failed")
        self.open_item = None
        self.sounding = False
        self.finished += 1

    def _fresh(self, text: str) -> None:
        """Hold an answer against what was said."""
        self._check(text.startswith(PREFIX), "an answer is no echo")
        if typed := TYPED.search(text):
            self._check(int(typed[1]) > self._last_typed, "a stale answer to a typed message")
            self._last_typed = int(typed[1])
        else:
            self._check(bool(self._heard) and text.endswith(self._heard), "a stale answer to a question")

    def _check(self, holds: bool, what: str) -> None:
        if not holds:
            self._complain(what)
