"""What the server says: every JSON message of its side."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from jackfield.contracts.call import Turns
from jackfield.web.call_messages import CallMessage


class SoundFormat(TypedDict):
    """A format of sound; Opus has no `rate_hz`."""

    format: Literal["pcm_s16le", "opus"]
    rate_hz: NotRequired[int]


class StartedMessage(TypedDict):
    """The call is open."""

    type: Literal["started"]
    protocol: Literal[1]
    call_id: str
    session_id: str
    audio_in: SoundFormat | None
    audio_out: SoundFormat | None
    turns: Turns
    scenario: str | None


class AudioClearMessage(TypedDict):
    """Sound that was sent and not played yet is to be forgotten at once."""

    type: Literal["audio.clear"]


class AudioEndMessage(TypedDict):
    """All sound of the answer was sent."""

    type: Literal["audio.end"]
    item: int


ServerMessage = StartedMessage | AudioClearMessage | AudioEndMessage | CallMessage
