"""What the service says beside a call whose sound goes past the server."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import Final, Literal

from jackfield.contracts.realtime import RealtimeOutput, RealtimePlayback
from jackfield_realtime_openai.conversation import Conversation, ServerEvent
from jackfield_realtime_openai.failures import told_error

MOST_FAILURES: Final = 3
"""Answers that may fail one after the other."""


class FarConversation(Conversation):
    """Reads what is told of the sound, too."""

    def __init__(self, logger: logging.Logger, ask_again: Callable[[int], None]) -> None:
        """`ask_again` is called with how many answers failed one after the other, where one more may do."""
        super().__init__(logger)
        self.user_speaks = False
        """Whether the service hears the user speak, and falls silent itself."""
        self._ask_again = ask_again
        self._failures = 0
        """Answers that failed since one did not."""
        self._items: dict[str, list[str]] = {}
        """What is said in answers whose sound is not over."""
        self._sounding: set[str] = set()

    def read(self, event: ServerEvent) -> Iterator[RealtimeOutput]:
        read = _READERS.get(event["type"])
        if read is not None:
            yield from read(self, event)
        if event["type"] != "response.done":
            yield from super().read(event)

    def _response_done(self, event: ServerEvent) -> Iterator[RealtimeOutput]:
        """An answer that failed is no reason to end a call whose sound goes on without us, at first."""
        response = event["response"]
        status = response.get("status")
        if status in ("failed", "cancelled") and response["id"] not in self._sounding:
            yield from self._cleared({"response_id": response["id"]})
        if status != "failed":
            self._failures = 0
            yield from super()._response_done(event)
            return
        error = told_error((response.get("status_details") or {}).get("error"))
        self._failures += 1
        if not error.retryable or self._failures > MOST_FAILURES:
            raise error
        self._logger.warning("the service gave no answer: %s", error)
        self.responding = False
        self._ask_again(self._failures)

    def _item_added(self, event: ServerEvent) -> Iterator[RealtimeOutput]:
        if event["item"].get("type") == "message":
            self._items.setdefault(event["response_id"], []).append(event["item"]["id"])
        return iter(())

    def missed(self) -> None:
        """Some events were not heard: whatever they may have ended is taken for over."""
        self.asked = self.responding = self.user_speaks = False

    def _entered(self, event: ServerEvent) -> str:
        items = self._items.setdefault(event["response_id"], [])
        if event["item_id"] not in items:  # that it was begun was missed
            items.append(event["item_id"])
        return super()._entered(event)

    def _started(self, event: ServerEvent) -> Iterator[RealtimeOutput]:
        if event["response_id"] in self._items:
            for before in list(takewhile(lambda name: name != event["response_id"], self._items)):
                yield from self._over({"response_id": before}, "stopped")  # which was missed
        self.has_spoken = True
        self._sounding.add(event["response_id"])
        for item in self._items.get(event["response_id"], ()):
            yield RealtimePlayback(item, "started")

    def _stopped_playing(self, event: ServerEvent) -> Iterator[RealtimeOutput]:
        yield from self._over(event, "stopped")

    def _cleared(self, event: ServerEvent) -> Iterator[RealtimeOutput]:
        yield from self._over(event, "cleared")

    def _over(self, event: ServerEvent, state: Literal["stopped", "cleared"]) -> Iterator[RealtimeOutput]:
        self._sounding.discard(event["response_id"])
        for item in self._items.pop(event["response_id"], ()):
            yield RealtimePlayback(item, state)

    def _speech_began(self, event: ServerEvent) -> Iterator[RealtimeOutput]:
        self.user_speaks = True
        return iter(())

    def _speech_over(self, event: ServerEvent) -> Iterator[RealtimeOutput]:
        self.user_speaks = False
        return iter(())


_READERS: Final = {
    "response.done": FarConversation._response_done,
    "response.output_item.added": FarConversation._item_added,
    "output_audio_buffer.started": FarConversation._started,
    "output_audio_buffer.stopped": FarConversation._stopped_playing,
    "output_audio_buffer.cleared": FarConversation._cleared,
    "input_audio_buffer.speech_started": FarConversation._speech_began,
    "input_audio_buffer.speech_stopped": FarConversation._speech_over,
}
