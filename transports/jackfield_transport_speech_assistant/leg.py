"""The door's side of a call with a browser: sound goes into its track, events over its data channel."""

from __future__ import annotations

from typing import Final

from jackfield.audio.playback import Playback
from jackfield.contracts.call import Call, CallEvent
from jackfield_transport_speech_assistant.channel import EventChannel
from jackfield_transport_speech_assistant.track import RATE_HZ, VoiceTrack

_LEAD_S: Final = 0.2
"""The track is fed so far ahead; it is in this process, and what it holds can be taken back."""


class BrowserLeg:
    """Plays into a track. Implements `CallLeg`, and the line of its own playback.

    `call` is to be set before anything is played.
    """

    call: Call
    rate_hz: int = RATE_HZ

    def __init__(self, track: VoiceTrack, channel: EventChannel) -> None:
        self._track = track
        self._channel = channel
        self._playback = Playback(RATE_HZ, self, lead_s=_LEAD_S)

    def play(self, item: int, pcm: bytes) -> None:
        self._playback.play(item, pcm)

    def end(self, item: int) -> None:
        self._playback.end(item)

    def pause(self) -> None:
        self._playback.pause()

    def resume(self) -> None:
        self._playback.resume()

    def clear(self) -> None:
        self._playback.clear()

    def heard_s(self) -> float:
        return self._playback.heard_s()

    def ahead_s(self) -> float:
        return self._playback.ahead_s()

    def tell(self, event: CallEvent) -> None:
        self._channel.tell(event)

    def close(self) -> None:
        """Play nothing more. May be called twice."""
        self._playback.close()

    def send(self, pcm: bytes) -> None:
        self._track.put(pcm)

    def sent(self, item: int) -> None:
        """The listener hears it; there is nothing to tell."""

    def forget(self) -> None:
        self._track.drop()

    def played(self, item: int) -> None:
        self.call.played(item)
