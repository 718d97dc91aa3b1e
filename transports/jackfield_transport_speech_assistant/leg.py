"""The door's side of a call with a browser: sound goes into its track, events over its data channel."""

from __future__ import annotations

from typing import Final

from jackfield.audio.playback import Playback, PlayingLeg
from jackfield.contracts.call import Call, CallEvent
from jackfield_transport_speech_assistant.channel import EventChannel
from jackfield_transport_speech_assistant.track import RATE_HZ, VoiceTrack

_LEAD_S: Final = 0.2
"""The track is fed so far ahead; it is in this process, and what it holds can be taken back."""


class BrowserLeg(PlayingLeg):
    """Plays into a track. Implements `CallLeg`, and the line of its own playback.

    `call` is to be set before anything is played.
    """

    call: Call

    def __init__(self, track: VoiceTrack, channel: EventChannel) -> None:
        self._track = track
        self._channel = channel
        super().__init__(Playback(RATE_HZ, self, lead_s=_LEAD_S))

    def tell(self, event: CallEvent) -> None:
        self._channel.tell(event)

    def send(self, pcm: bytes) -> None:
        self._track.put(pcm)

    def sent(self, item: int) -> None:
        """The listener hears it; there is nothing to tell."""

    def forget(self) -> None:
        self._track.drop()

    def played(self, item: int) -> None:
        self.call.played(item)
