"""What the service says in the protocol, and what is known of the conversation by it."""

from __future__ import annotations

import logging
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any, Final

from jackfield.contracts.llm import ToolCall
from jackfield.contracts.realtime import (
    RealtimeAudio,
    RealtimeOutput,
    RealtimeSpeech,
    RealtimeText,
    RealtimeUsage,
)
from jackfield.contracts.stt import Transcript
from jackfield.errors import ProviderBadReply
from jackfield_realtime_openai.failures import ends_session, is_busy, told_error
from jackfield_realtime_openai.messages import RATE_HZ

_WIDTH_BYTES: Final = 2

ServerEvent = Mapping[str, Any]


class Conversation:
    """Reads the service's events, one after the other; types that are not known say nothing."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self.asked = False
        """Whether the service was asked for an answer that it has not begun."""
        self.writes = True
        """Whether what the user says is written down."""
        self.responding = False
        """Whether the service works on an answer."""
        self.has_spoken = False
        """Whether there was sound already: then the voice cannot be changed."""
        self.owes_response = False
        """Whether an answer is to be asked for as soon as no other is worked on."""
        self.response = ""
        """The answer that is worked on, or was last."""
        self.unwanted = ""
        """The answer that began although it was interrupted before, until it is cancelled."""
        self._stop_next = False
        """Whether the answer that was asked for was interrupted before it began."""
        self._request = ""
        """The event that asked for an answer the last time."""
        self._wanted = False
        """Whether there was no interruption since."""
        self._stopped: set[str] = set()
        """Answers that were interrupted and still come."""
        self._item = ""
        self._item_bytes = 0
        self._half = b""
        self._open_items: set[str] = set()
        """Items that were begun and whose end was not told."""
        self._calls: set[str] = set()
        """Calls of functions without a result yet."""
        self._words: dict[str, str] = {}
        """What the user said in items that are still being written down."""
        self._unwritten: set[str] = set()
        """Items whose words are still to come."""
        self._silent_turns = 0
        """Turns in which nothing was said, after those."""

    @property
    def busy(self) -> bool:
        """Whether an answer is worked on or will be."""
        return self.asked or self.responding

    @property
    def may_answer(self) -> bool:
        """Whether an answer is to be asked for now."""
        return self.owes_response and not (self.busy or self._calls)

    def ask(self, request: str) -> None:
        """An answer is asked for, by the event of that id."""
        self.asked = self._wanted = True
        self.owes_response = False
        self._request = request

    def read(self, event: ServerEvent) -> Iterator[RealtimeOutput]:
        """Give what an event says.

        :raises ProviderError: when the session is of no further use.
        """
        read = _READERS.get(event["type"])
        return iter(()) if read is None else read(self, event)

    def interrupt(self, heard_ms: int) -> tuple[str, int] | None:
        """Listen no more to the answer that comes.

        Gives the newest item and how much of it was heard, if there is more of it.
        """
        if self.responding:
            self._stopped.add(self.response)
        self._stop_next = self.asked
        self._wanted = False
        self._calls.clear()
        self.owes_response = False
        item, self._item = self._item, ""
        is_whole = item not in self._open_items
        self._open_items.clear()
        length_ms = self._item_bytes * 1000 // (_WIDTH_BYTES * RATE_HZ)
        if not item or (is_whole and heard_ms >= length_ms):
            return None
        return item, min(heard_ms, length_ms)

    def answered(self, call_id: str) -> bool:
        """A call has its result; says whether the model may go on."""
        if call_id not in self._calls:
            return False  # it was interrupted
        self._calls.discard(call_id)
        return not self._calls

    def _response_created(self, event: ServerEvent) -> Iterator[RealtimeOutput]:
        self.asked, self.responding = False, True
        self.response = event["response"]["id"]
        if self._stop_next:
            self._stop_next = False
            self.unwanted = self.response
            self._stopped.add(self.response)
        return iter(())

    def _response_done(self, event: ServerEvent) -> Iterator[RealtimeOutput]:
        response = event["response"]
        self.responding = False
        self._stopped.discard(response["id"])
        if response.get("status") == "failed":
            raise told_error((response.get("status_details") or {}).get("error"))
        for item in sorted(self._open_items):
            yield RealtimeText(item, "", done=True)
        self._open_items.clear()
        if usage := response.get("usage"):
            details = usage.get("input_token_details") or {}
            cached = details.get("cached_tokens") or 0
            yield RealtimeUsage(usage.get("input_tokens") or 0, usage.get("output_tokens") or 0, cached)

    def _audio(self, event: ServerEvent) -> Iterator[RealtimeOutput]:
        if event["response_id"] in self._stopped:
            return
        item = self._entered(event)
        pcm = self._half + b64decode(event["delta"])
        size_bytes = len(pcm) - len(pcm) % _WIDTH_BYTES
        self._half = pcm[size_bytes:]
        if size_bytes:
            self.has_spoken = True
            self._item_bytes += size_bytes
            yield RealtimeAudio(item, pcm[:size_bytes])

    def _text(self, event: ServerEvent) -> Iterator[RealtimeOutput]:
        if event["response_id"] not in self._stopped and event["delta"]:
            yield RealtimeText(self._entered(event), event["delta"])

    def _entered(self, event: ServerEvent) -> str:
        item: str = event["item_id"]
        if item != self._item:
            self._item, self._item_bytes, self._half = item, 0, b""
            self._open_items.add(item)
        return item

    def _item_done(self, event: ServerEvent) -> Iterator[RealtimeOutput]:
        item = event["item"]
        if event["response_id"] in self._stopped:
            return
        if item.get("type") == "function_call":
            if item.get("status") == "incomplete":
                return  # it was broken off, and so are its arguments
            self._calls.add(item["call_id"])
            yield ToolCall(item["call_id"], item["name"], item.get("arguments") or "{}")
        elif item["id"] in self._open_items:
            self._open_items.discard(item["id"])
            yield RealtimeText(item["id"], "", done=True)

    def _speech_started(self, event: ServerEvent) -> Iterator[RealtimeOutput]:
        yield RealtimeSpeech("started")

    def _speech_stopped(self, event: ServerEvent) -> Iterator[RealtimeOutput]:
        yield RealtimeSpeech("stopped")

    def _committed(self, event: ServerEvent) -> Iterator[RealtimeOutput]:
        if self.writes:
            self._unwritten.add(event["item_id"])
        else:
            yield Transcript("", "final", end_of_turn=True)

    def _nothing_said(self, event: ServerEvent) -> Iterator[RealtimeOutput]:
        """There was nothing in what the client says the user has said."""
        self._silent_turns += 1
        yield from self._silence()
        yield RealtimeUsage(0, 0)

    def _silence(self) -> Iterator[RealtimeOutput]:
        while self._silent_turns and not self._unwritten:
            self._silent_turns -= 1
            yield Transcript("", "final", end_of_turn=True)

    def _words_delta(self, event: ServerEvent) -> Iterator[RealtimeOutput]:
        item = event["item_id"]
        self._words[item] = self._words.get(item, "") + event.get("delta", "")
        yield Transcript(self._words[item], "partial")

    def _words_done(self, event: ServerEvent) -> Iterator[RealtimeOutput]:
        self._words.pop(event["item_id"], None)
        yield Transcript(event.get("transcript", "").strip(), "final", end_of_turn=True)
        self._unwritten.discard(event["item_id"])
        yield from self._silence()

    def _error(self, event: ServerEvent) -> Iterator[RealtimeOutput]:
        error = event.get("error")
        if ends_session(error):
            raise told_error(error)
        named = error.get("event_id") if isinstance(error, Mapping) else None
        if named in (None, self._request):
            # It may be why there will be no answer to what was asked.
            self.asked = self._stop_next = False
            if is_busy(error):
                self.owes_response = self.owes_response or self._wanted
                return
        self._logger.warning("the service does not accept an event: %s", told_error(error))
        if named == self._request:
            yield RealtimeUsage(0, 0)


_READERS: Final = {
    "response.created": Conversation._response_created,
    "response.done": Conversation._response_done,
    "response.output_audio.delta": Conversation._audio,
    "response.output_audio_transcript.delta": Conversation._text,
    "response.output_text.delta": Conversation._text,
    "response.output_item.done": Conversation._item_done,
    "input_audio_buffer.speech_started": Conversation._speech_started,
    "input_audio_buffer.speech_stopped": Conversation._speech_stopped,
    "input_audio_buffer.committed": Conversation._committed,
    "input_audio_buffer.cleared": Conversation._nothing_said,
    "conversation.item.input_audio_transcription.delta": Conversation._words_delta,
    "conversation.item.input_audio_transcription.completed": Conversation._words_done,
    "conversation.item.input_audio_transcription.failed": Conversation._words_done,
    "error": Conversation._error,
}


def outputs_of(conversation: Conversation, event: ServerEvent) -> list[RealtimeOutput]:
    """All that an event says.

    :raises ProviderError: when the session is of no further use, or the event lacks what it must have.
    """
    try:
        return list(conversation.read(event))
    except (LookupError, TypeError, ValueError) as error:
        name = type(error).__name__
        raise ProviderBadReply(f"An event of the service cannot be understood ({name}).") from None
