"""Slots: which conversation llama.cpp holds in which of its slots, and which of them a generation gets."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from threading import Condition, Event, Lock
from typing import Final

from jackfield.contracts.llm import Message

_CHARS_A_TOKEN: Final = 4
_TOUCH_TOKENS: Final = 8
"""What touching a slot costs while others compute, for it then has to wait for their step."""
_UNSURE_S: Final = 0.5
"""llama.cpp may have left two slots in the other order when their generations ended so close together."""
_STORED_CONVERSATIONS: Final = 1024


@dataclass(slots=True, eq=False)
class Slot:
    """What is known of one slot; `Slots` alone changes it."""

    index: int
    left_s: float
    """When llama.cpp last used it, on the clock of `time.monotonic`."""
    was_touched: bool = False
    """Nothing was computed in it since a touch, so its order among other touched ones is certain."""
    taken: int = 0
    conversation: str | None = None
    messages: Sequence[Message] = ()
    ending: Event | None = None
    """Of the generation that has the slot; None while it is idle."""
    has_begun: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A slot while a generation has it. Not `pinned`: llama.cpp is left to choose, and chooses this one."""

    slot: Slot
    pinned: bool
    own: bool = False
    """Whether the slot has what was computed of the same conversation."""


class Slots:
    """All slots of one model; for several threads at once.

    A generation that asks for a slot by number finds there at once what was computed last, but what the slot
    held beyond that may be lost. When llama.cpp chooses the slot, it keeps what was there in memory, and
    looks in memory for what it has of the new prompt. It chooses the idle slot that was used least recently;
    so with `touch` for the older ones it is brought to choose any.

    `touch(index)` makes llama.cpp use an idle slot and leave its content alone.
    """

    def __init__(self, count: int, *, keeps_chats: bool, touch: Callable[[int], None]) -> None:
        now_s = time.monotonic()
        self._slots = [Slot(index, now_s) for index in range(count)]
        self._keeps_chats = keeps_chats
        self._touch = touch
        self._changed = Condition()
        self._choosing = Lock()
        self._stored: OrderedDict[str, None] = OrderedDict()
        self._takes = 0

    def claim(self, conversation: str | None, messages: Sequence[Message], ending: Event) -> Place:
        """A slot for a generation; waits for one. To be followed by `begin` and `release` in this thread.

        `ending` says that the generation will leave soon: the next turn of its conversation waits for that.
        """
        with self._changed:
            own = self._own(conversation) if conversation is not None else None
            if own is not None:
                return replace(self._take(own, conversation, messages, ending, pinned=True), own=True)
        # Until one has begun, another could get what llama.cpp is to choose for it.
        self._choosing.acquire()
        try:
            with self._changed:
                place, older = self._choose(conversation, messages, ending)
            for slot in older:
                self._touch(slot.index)
                self._leave(slot, by_touch=True)
            if not place.pinned:
                self._wait_until_older_ones_are_busy(place.slot)
        except BaseException:
            self._choosing.release()
            raise
        if place.pinned:
            self._choosing.release()
        return place

    def begin(self, place: Place) -> None:
        """Say that llama.cpp has put the generation into its slot."""
        with self._changed:
            if place.slot.has_begun:
                return
            place.slot.has_begun = True
            self._changed.notify_all()
        if not place.pinned:
            self._choosing.release()

    def release(self, place: Place, *, was_stopped: bool) -> None:
        """Give the slot back, once, when llama.cpp has finished the generation or was told to stop."""
        slot = place.slot
        if slot.has_begun:
            if was_stopped:
                # It stops after its step; the touch, which it takes up then, tells when.
                self._touch(slot.index)
            self._leave(slot)
            return
        with self._changed:
            slot.ending = None
            if not place.pinned:
                slot.conversation = None
            self._changed.notify_all()
        if not place.pinned:
            self._choosing.release()

    def _own(self, conversation: str) -> Slot | None:
        """The idle slot that has most of the conversation; one that is about to be left is waited for."""
        while True:
            own = [slot for slot in self._slots if slot.conversation == conversation]
            for slot in sorted(own, key=lambda slot: slot.taken, reverse=True):
                if slot.ending is None:
                    return slot
                if slot.ending.is_set():
                    break
            else:
                return None
            self._changed.wait()

    def _choose(
        self, conversation: str | None, messages: Sequence[Message], ending: Event
    ) -> tuple[Place, list[Slot]]:
        """A slot for a conversation that has none, and those to be touched so that llama.cpp chooses it."""
        while (chosen := self._best(conversation, messages)) is None or chosen.ending is not None:
            self._changed.wait()
        if not self._keeps_chats:
            return self._take(chosen, conversation, messages, ending, pinned=True), []
        older = [
            slot
            for slot in self._slots
            if slot.ending is None and slot is not chosen and _may_be_older(slot, chosen)
        ]
        for slot in older:
            slot.ending = Event()
            slot.ending.set()
        return self._take(chosen, conversation, messages, ending, pinned=False), older

    def _best(self, conversation: str | None, messages: Sequence[Message]) -> Slot | None:
        """The slot to take for a conversation that has none; perhaps one that is about to be left."""
        free = [slot for slot in self._slots if slot.ending is None or slot.ending.is_set()]
        if not free:
            return None
        free.sort(key=lambda slot: (slot.ending is not None, slot.left_s))
        if conversation in self._stored or not self._keeps_chats:
            # What is in memory is found from any slot. Without a memory, the oldest is the least loss.
            return free[0]
        touch_tokens = _TOUCH_TOKENS if len(free) < len(self._slots) else 0
        gains = [_shared_tokens(slot, messages) - touch_tokens * older for older, slot in enumerate(free)]
        return free[gains.index(max(gains))]

    def _take(
        self,
        slot: Slot,
        conversation: str | None,
        messages: Sequence[Message],
        ending: Event,
        *,
        pinned: bool,
    ) -> Place:
        if slot.conversation is not None and slot.conversation != conversation:
            self._stored[slot.conversation] = None
            if len(self._stored) > _STORED_CONVERSATIONS:
                self._stored.popitem(last=False)
        if conversation is not None:
            self._stored.pop(conversation, None)
        self._takes += 1
        slot.taken = self._takes
        slot.conversation, slot.messages = conversation, messages
        slot.ending, slot.has_begun = ending, False
        return Place(slot, pinned)

    def _leave(self, slot: Slot, *, by_touch: bool = False) -> None:
        with self._changed:
            slot.left_s, slot.was_touched, slot.ending = time.monotonic(), by_touch, None
            self._changed.notify_all()

    def _wait_until_older_ones_are_busy(self, chosen: Slot) -> None:
        def are_busy() -> bool:
            # A generation on its way to an older slot, by number, has not made llama.cpp see it busy yet.
            return all(
                slot is chosen or slot.ending is None or slot.has_begun or slot.left_s > chosen.left_s
                for slot in self._slots
            )

        with self._changed:
            self._changed.wait_for(are_busy)


def _may_be_older(slot: Slot, other: Slot) -> bool:
    is_certain = slot.was_touched and other.was_touched
    return slot.left_s < other.left_s + (0.0 if is_certain else _UNSURE_S)


def _shared_tokens(slot: Slot, messages: Sequence[Message]) -> int:
    """About how many tokens of `messages` the slot has."""
    chars = 0
    for known, message in zip(slot.messages, messages, strict=False):
        if known != message:
            break
        chars += len(message.content)
    return chars // _CHARS_A_TOKEN
