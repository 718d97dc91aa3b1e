"""The door's side of a call: where its sound goes, and its events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from jackfield.audio.playback import Playback, PlayingLeg
from jackfield.contracts.call import Call, CallEvent, ReplyStarted, ReplyText, SpeechStopped, UserText
from jackfield.web.call_messages import message_of
from jackfield.web.outbox import Outbox

Encode = Callable[[bytes], Sequence[bytes]]
"""From PCM to messages."""

_SILENT_HZ: Final = 16_000
_ANNOUNCING: Final = (SpeechStopped, UserText, ReplyStarted)
"""Events that others follow."""


class SocketLeg(PlayingLeg):
    """Plays over the socket. Implements `CallLeg`, and the line of its own playback.

    `call` is to be set before anything is played.
    """

    call: Call

    def __init__(
        self, outbox: Outbox, request_id: str, *, rate_hz: int, encode: Encode, lead_s: float
    ) -> None:
        self._outbox = outbox
        self._request_id = request_id
        self._encode = encode
        super().__init__(Playback(rate_hz, self, lead_s=lead_s))

    def tell(self, event: CallEvent) -> None:
        tell(self._outbox, event, self._request_id)

    def report(self, item: int, heard_s: float) -> None:
        """The client says how many seconds of an answer were heard."""
        self._playback.report(item, heard_s)

    def close(self) -> None:
        """Play nothing more, and let go of the encoder: one of Opus holds threads as long as it lives."""
        super().close()
        self._encode = _nothing

    def send(self, pcm: bytes) -> None:
        for message in self._encode(pcm):
            self._outbox.put_sound(message)

    def sent(self, item: int) -> None:
        self._outbox.put({"type": "audio.end", "item": item})

    def forget(self) -> None:
        self._outbox.drop_sound()
        self._outbox.put({"type": "audio.clear"})

    def played(self, item: int) -> None:
        self.call.played(item)


class SilentLeg:
    """The leg of a client that wants no sound, and so is given none. Implements `CallLeg`."""

    call: Call
    rate_hz: int = _SILENT_HZ

    def __init__(self, outbox: Outbox, request_id: str) -> None:
        self._outbox = outbox
        self._request_id = request_id

    def play(self, item: int, pcm: bytes) -> None:
        pass

    def end(self, item: int) -> None:
        pass

    def pause(self) -> None:
        pass

    def resume(self) -> None:
        pass

    def clear(self) -> None:
        pass

    def heard_s(self) -> float:
        return 0.0

    def ahead_s(self) -> float:
        return 0.0

    def tell(self, event: CallEvent) -> None:
        tell(self._outbox, event, self._request_id)

    def report(self, item: int, heard_s: float) -> None:
        """There is nothing to report of."""

    def close(self) -> None:
        """There is nothing to close."""


def _nothing(pcm: bytes) -> Sequence[bytes]:
    return ()


def tell(outbox: Outbox, event: CallEvent, request_id: str) -> None:
    """Send what tells of an event."""
    if isinstance(event, ReplyText):
        outbox.put_words(event.item, event.text)
    else:
        outbox.put(message_of(event, request_id), soon=isinstance(event, _ANNOUNCING))
