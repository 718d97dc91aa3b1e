"""The line to a speech-to-speech model: sound and wishes go to it in order."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from jackfield.audio.pcm import WIDTH_BYTES
from jackfield.audio.resample import Resampler
from jackfield.contracts.realtime import RealtimeSession
from jackfield.errors import ProviderError

logger = logging.getLogger(__name__)

Wish = Callable[[RealtimeSession], Awaitable[None]]

_KEPT_S: Final = 10.0
"""Sound of the user that is kept while there is no connection; of more, the newest."""
_SILENCE_S: Final = 1.0
_SETTLING_S: Final = 3.0


class ModelLine:
    """Takes sound at `rate_hz` and wishes. `run` carries the wishes out, one after the other."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._kept = bytearray()
        self._session: RealtimeSession | None = None
        self._resampler: Resampler | None = None
        self._wishes: deque[Wish] = deque()
        self._changed = anyio.Event()
        self.pushed_s = 0.0
        """Seconds of sound that models were given."""
        self.heard_s = 0.0
        """Seconds of sound that they made."""

    @property
    def session(self) -> RealtimeSession | None:
        """The session now, if there is one."""
        return self._session

    def connect(self, session: RealtimeSession) -> None:
        """From now on this is the session."""
        self._resampler = Resampler(self._rate_hz, session.rate_hz)
        self._session = session
        kept = bytes(self._kept)
        self._kept.clear()
        self.push(kept)
        self._changed.set()

    def disconnect(self) -> None:
        """There is no session; what was wished of it is forgotten."""
        self._session = None
        self._wishes.clear()

    def push(self, pcm: bytes) -> None:
        """Give the model sound."""
        if self._session is None or self._resampler is None:
            self._kept += pcm
            most_bytes = round(_KEPT_S * self._rate_hz) * WIDTH_BYTES
            if len(self._kept) > most_bytes:
                del self._kept[: len(self._kept) - most_bytes]
        elif pcm:
            self.pushed_s += len(pcm) / WIDTH_BYTES / self._rate_hz
            self._session.push(self._resampler.feed(pcm))

    @property
    def unheard(self) -> bytes:
        """Sound that no model was given, at the rate of the call."""
        return bytes(self._kept)

    def forget(self) -> None:
        """Let no model hear the sound that was kept."""
        self._kept.clear()

    def push_silence(self) -> None:
        """Let the model hear that nobody speaks."""
        self.push(bytes(round(_SILENCE_S * self._rate_hz) * WIDTH_BYTES))

    def wish(self, wish: Wish) -> None:
        """Have something done with the session, after everything that was wished before; without one, not."""
        if self._session is not None:
            self._wishes.append(wish)
            self._changed.set()

    async def settled(self) -> None:
        """Wait until everything that was wished before is done, or could not be within a few seconds."""
        done = anyio.Event()

        async def tell(_session: RealtimeSession) -> None:
            done.set()

        self.wish(tell)
        with anyio.move_on_after(_SETTLING_S):
            await done.wait()

    async def run(self) -> None:
        """Carry wishes out until cancelled."""
        while True:
            while self._session is not None and self._wishes:
                wish = self._wishes.popleft()
                try:
                    await wish(self._session)
                except ProviderError as error:  # whoever listens to the session is told more
                    logger.warning("a speech-to-speech model did not do as it was asked: %s", error)
                except Exception:
                    logger.exception("a speech-to-speech model broke its contract")
            self._changed = anyio.Event()
            await self._changed.wait()
