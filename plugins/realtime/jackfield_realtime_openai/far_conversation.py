"""What the service says beside a call whose sound goes past the server."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Final

from jackfield.contracts.realtime import RealtimeOutput, RealtimePlayback
from jackfield_realtime_openai.conversation import Conversation, ServerEvent


class FarConversation(Conversation):
    """Reads what is told of the sound, too."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__(logger)
        self.user_speaks = False
        """Whether the service hears the user speak, and falls silent itself."""
        self._items: dict[str, list[str]] = {}
        """What is said in answers whose sound is not over."""

    def read(self, event: ServerEvent) -> Iterator[RealtimeOutput]:
        read = _READERS.get(event["type"])
        if read is not None:
            yield from read(self, event)
        yield from super().read(event)

    def _item_added(self, event: ServerEvent) -> Iterator[RealtimeOutput]:
        if event["item"].get("type") == "message":
            self._items.setdefault(event["response_id"], []).append(event["item"]["id"])
        return iter(())

    def _started(self, event: ServerEvent) -> Iterator[RealtimeOutput]:
        self.has_spoken = True
        for item in self._items.get(event["response_id"], ()):
            yield RealtimePlayback(item, "started")

    def _stopped_playing(self, event: ServerEvent) -> Iterator[RealtimeOutput]:
        for item in self._items.pop(event["response_id"], ()):
            yield RealtimePlayback(item, "stopped")

    def _cleared(self, event: ServerEvent) -> Iterator[RealtimeOutput]:
        for item in self._items.pop(event["response_id"], ()):
            yield RealtimePlayback(item, "cleared")

    def _speech_began(self, event: ServerEvent) -> Iterator[RealtimeOutput]:
        self.user_speaks = True
        return iter(())

    def _speech_over(self, event: ServerEvent) -> Iterator[RealtimeOutput]:
        self.user_speaks = False
        return iter(())


_READERS: Final = {
    "response.output_item.added": FarConversation._item_added,
    "output_audio_buffer.started": FarConversation._started,
    "output_audio_buffer.stopped": FarConversation._stopped_playing,
    "output_audio_buffer.cleared": FarConversation._cleared,
    "input_audio_buffer.speech_started": FarConversation._speech_began,
    "input_audio_buffer.speech_stopped": FarConversation._speech_over,
}
