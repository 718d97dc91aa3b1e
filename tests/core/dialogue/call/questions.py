"""Which questions the answers of a call are to: what was said, typed, and not answered before."""

from __future__ import annotations

from collections.abc import Sequence

from jackfield.contracts.call import (
    CallEvent,
    CallTrouble,
    ReplyFinished,
    ReplyStarted,
    SpeechStarted,
    SpeechStopped,
    UserText,
)


class Questions:
    """Follows the events of a call. `typed` holds what the user typed, and how many events came before.

    An empty text means that the user wants no answer any more to all that was said.
    """

    def __init__(self, typed: Sequence[tuple[int, str]]) -> None:
        self._typed = list(typed)
        self._open: list[str] = []
        """What was said and got no answer yet."""
        self._asked: dict[int, str] = {}
        self._failed = False
        """Whether something of the current item went wrong: then the question counts as answered."""
        self._taken_back = -1
        """The event that came of it when all that was said was taken back."""
        self._typed_at = -1
        self._speaking = False
        self._utterances = 0
        """Which have ended, and were not transcribed yet, or came to nothing."""

    def of_items(self, told: Sequence[tuple[float, CallEvent]]) -> dict[int, str]:
        """Give the question of each item; empty where there was none."""
        for at, (at_s, event) in enumerate(told):
            while self._typed and self._typed[0][0] <= at:
                self._type(at, self._typed.pop(0)[1])
            if isinstance(event, CallTrouble) and event.code.startswith("stt"):
                self._take_back(at + 1 if at + 1 < len(told) and told[at + 1][0] == at_s else -1)
            else:
                self._follow(at, event)
        return self._asked

    def _type(self, at: int, text: str) -> None:
        if text:
            self._open.append(text)
            self._typed_at = at
        else:
            self._take_back(at)

    def _take_back(self, at: int) -> None:
        self._open.clear()
        self._taken_back = at

    def _follow(self, at: int, event: CallEvent) -> None:
        match event:
            case SpeechStarted():
                self._speaking = True
            case SpeechStopped():
                self._speaking = False
                self._utterances += 1
            case UserText(text, final=True):
                self._utterances -= 1
                assert self._utterances >= 0, f"{text!r} was heard where nobody spoke"
                unanswered = " ".join(self._open)
                assert text.startswith(unanswered), f"{text!r} does not begin with {unanswered!r}"
                self._open = [text]
            case CallTrouble():
                self._failed = True
            case ReplyStarted(item):
                self._asked[item] = " ".join(self._open)
                typed = at - self._typed_at <= 1  # what was said before it may have ended for it
                assert typed or not (self._speaking and self._asked[item]), f"item {item} cuts in"
                self._open.clear()
                self._failed = False
            case ReplyFinished(item, text, outcome):
                unheard = outcome == "interrupted" and not text and not self._failed
                if unheard and self._asked[item] and self._taken_back != at:
                    self._open.insert(0, self._asked[item])
