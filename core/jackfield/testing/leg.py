"""A leg of a call that plays into nothing, at the pace at which a listener would hear it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import anyio

from jackfield.audio.pcm import WIDTH_BYTES, duration_s
from jackfield.contracts.call import Call, CallEvent, ReplyText

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Heard:
    """Sound of an item that the listener heard without a break, and when it began on the event loop."""

    item: int
    pcm: bytes = field(repr=False)
    at_s: float


class ManualLeg:
    """Plays sound in the event loop's time and keeps what was heard. Implements `contracts.call.CallLeg`.

    Give it the `call` once that is open. `told` holds every event with its time. Under `VirtualClock` an
    hour of talk takes no time.
    """

    def __init__(self, rate_hz: int = 24_000) -> None:
        self.rate_hz = rate_hz
        self.call: Call | None = None
        self.told: list[tuple[float, CallEvent]] = []
        self.heard: list[Heard] = []
        self.paused = False
        self._item = 0
        self._sound = bytearray()
        """All sound of the item."""
        self._heard_bytes = 0
        self._since_s = 0.0
        """When `_heard_bytes` was true."""
        self._ended = False
        self._timer: asyncio.TimerHandle | None = None
        self._changed = anyio.Event()

    # What the core does.

    def play(self, item: int, pcm: bytes) -> None:
        self._listen()
        if item != self._item:
            if item < self._item:
                raise ValueError(f"sound of item {item} after item {self._item}")
            self._begin(item)
        self._sound += pcm
        self._changed_now()

    def end(self, item: int) -> None:
        self._listen()
        if item != self._item:
            self._begin(item)
        self._ended = True
        self._schedule()

    def pause(self) -> None:
        self._listen()
        self.paused = True
        self._unschedule()
        self._changed_now()

    def resume(self) -> None:
        self._since_s = _now_s()
        self.paused = False
        self._schedule()
        self._changed_now()

    def clear(self) -> None:
        self._listen()
        del self._sound[self._heard_bytes :]
        self.paused = self._ended = False
        self._unschedule()
        self._changed_now()

    def heard_s(self) -> float:
        self._listen()
        return self._heard_bytes / (WIDTH_BYTES * self.rate_hz)

    def ahead_s(self) -> float:
        self._listen()
        return (len(self._sound) - self._heard_bytes) / (WIDTH_BYTES * self.rate_hz)

    def tell(self, event: CallEvent) -> None:
        self.told.append((_now_s(), event))
        self._changed_now()

    # What a test asks.

    @property
    def playing(self) -> bool:
        """Whether the listener hears something at this moment."""
        return not self.paused and self.ahead_s() > 0

    def events(self, kind: type[E]) -> list[E]:
        """Every event of a kind that was told so far."""
        return [event for _, event in self.told if isinstance(event, kind)]

    def shown(self, item: int) -> str:
        """The words of an item that the client was shown."""
        return "".join(event.text for event in self.events(ReplyText) if event.item == item)

    def heard_pcm(self, item: int) -> bytes:
        """All sound of an item that was heard so far."""
        self._listen()
        return b"".join(heard.pcm for heard in self.heard if heard.item == item)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so; looked at whenever the core does something."""
        while not condition():
            self._changed = anyio.Event()
            await self._changed.wait()

    async def told_of(self, kind: type[E], times: int = 1) -> E:
        """Wait until so many events of a kind were told; gives the last of them."""
        await self.until(lambda: len(self.events(kind)) >= times)
        return self.events(kind)[times - 1]

    def _begin(self, item: int) -> None:
        self._item = item
        self._sound.clear()
        self._heard_bytes = 0
        self._ended = False
        self._unschedule()

    def _listen(self) -> None:
        """Note what was heard until now."""
        now_s = _now_s()
        since_s, self._since_s = self._since_s, now_s
        if self.paused or self._heard_bytes == len(self._sound):
            return
        samples = round((now_s - since_s) * self.rate_hz)
        until = min(self._heard_bytes + samples * WIDTH_BYTES, len(self._sound))
        if until > self._heard_bytes:
            pcm = bytes(self._sound[self._heard_bytes : until])
            self.heard.append(Heard(self._item, pcm, since_s))
            self._heard_bytes = until

    def _schedule(self) -> None:
        self._unschedule()
        if self._ended and not self.paused:
            left_s = duration_s(bytes(len(self._sound) - self._heard_bytes), self.rate_hz)
            self._timer = asyncio.get_running_loop().call_later(left_s, self._played)

    def _unschedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _played(self) -> None:
        self._timer = None
        self._listen()
        self._ended = False
        if self.call is not None:
            self.call.played(self._item)
        self._changed_now()

    def _changed_now(self) -> None:
        self._changed.set()


def _now_s() -> float:
    return asyncio.get_running_loop().time()
