"""What stands in for the recogniser in a call that does not listen."""

from __future__ import annotations

from typing import Final

from anyio import sleep_forever

from jackfield.dialogue.call.hearing_record import HearingRecord


class Deaf:
    """Recognises nothing and opens nothing. The methods are those of `Recognition`."""

    gives_partials = False
    pending = 0

    def __init__(self) -> None:
        self.record: Final = HearingRecord(None)

    def push(self, pcm: bytes) -> None:
        """Drop sound."""

    def checkpoint(self) -> None:
        """Guess nothing."""

    def end(self, *, unchanged: bool = False) -> None:
        """Give no transcript: there was no utterance."""

    def discard(self) -> None:
        """There is nothing to forget."""

    def forget(self) -> None:
        """There is nothing to forget."""

    async def run(self) -> None:
        """Wait until cancelled."""
        await sleep_forever()

    def close(self) -> None:
        """There is nothing to close."""
