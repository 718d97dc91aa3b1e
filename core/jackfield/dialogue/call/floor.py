"""Who has the floor of a call: the item that is being said, and no other."""

from __future__ import annotations

from jackfield.contracts.call import CallEvent, CallLeg, ReplyFinished, ReplyStarted, ReplyText


class Floor:
    """The leg of a call for one item at a time: whatever comes from an earlier one is dropped here."""

    def __init__(self, leg: CallLeg, *, speaks: bool = True) -> None:
        self.leg = leg
        self.speaks = speaks
        """Whether what is said is heard; else it is only read."""
        self._last = 0
        self._holder: int | None = None

    @property
    def was_taken(self) -> bool:
        """Whether anything was said yet."""
        return self._last > 0

    def take(self) -> int:
        """Begin an item; gives its number. What had the floor before has lost it."""
        self._last += 1
        self._holder = self._last
        self.leg.tell(ReplyStarted(self._last))
        return self._last

    def play(self, item: int, pcm: bytes) -> None:
        """Play sound of the item at the rate of the leg."""
        if item == self._holder:
            self.leg.play(item, pcm)

    def write(self, item: int, text: str) -> None:
        """Show words of the item."""
        self.tell(item, ReplyText(item, text))

    def tell(self, item: int, event: CallEvent) -> None:
        """Let the client know something that belongs to the item."""
        if item == self._holder:
            self.leg.tell(event)

    def complete(self, item: int) -> None:
        """Say that no more sound of the item will come."""
        if item == self._holder:
            self.leg.end(item)

    def heard_s(self, item: int) -> float:
        """Seconds of the item that were heard."""
        return self.leg.heard_s() if item == self._holder else 0.0

    def leave(self, item: int, finished: ReplyFinished, *, silence: bool) -> None:
        """End the item; with `silence` what was not heard yet is not to be heard."""
        if item != self._holder:
            return
        if silence:
            self.leg.clear()
        self._holder = None
        self.leg.tell(finished)
