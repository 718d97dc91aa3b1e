"""What a client may say: every JSON message of its side, and how one is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, TypeAdapter

from jackfield.contracts.call import Turns
from jackfield.contracts.tts import Voice
from jackfield.text import CONTROL_CHARACTERS, normalise
from jackfield.web.call_commands import (
    Command,
    Dtmf,
    Interrupt,
    Mute,
    SpeechEnd,
    SpeechStart,
    Stop,
    Text,
    read_message,
)

PROTOCOL: Final = 1
"""Version of the protocol that this server speaks."""


def _without_controls(value: str) -> str:
    if CONTROL_CHARACTERS.search(value):
        raise ValueError("control characters are not allowed")
    return normalise(value)


def _one_line(value: str) -> str:
    """It may stand in the middle of the instructions."""
    return " ".join(normalise(value).split())


Name = Annotated[str, Field(min_length=1, max_length=128)]
SessionId = Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z0-9._:-]+$")]
UserName = Annotated[str, Field(max_length=64), AfterValidator(_one_line)]
ClaimedId = Annotated[str, Field(max_length=128), AfterValidator(_without_controls)]
LanguageTag = Annotated[str, Field(max_length=35, pattern=r"^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$")]


class PcmFormat(Command):
    """PCM, signed 16-bit little-endian, mono; messages are any whole number of samples long."""

    format: Literal["pcm_s16le"] = "pcm_s16le"
    rate_hz: int = Field(ge=8_000, le=48_000)


class OpusFormat(Command):
    """Opus, mono; each message is one packet."""

    format: Literal["opus"]


AudioFormat = Annotated[PcmFormat | OpusFormat, Field(discriminator="format")]


class VoiceFields(Command):
    """The voice that is meant; the server takes the nearest it has."""

    name: Name | None = None
    language: LanguageTag | None = None
    gender: Literal["female", "male"] | None = None
    accent: Name | None = None

    def voice(self) -> Voice:
        """Give it as the core has it."""
        return Voice(self.name, self.language, self.gender, self.accent)


class Start(Command):
    """The first message, and only that: what the call is to be like."""

    type: Literal["start"]
    protocol: Literal[1] = 1
    audio_in: AudioFormat | None = PcmFormat(rate_hz=16_000)
    audio_out: AudioFormat | None = PcmFormat(rate_hz=24_000)
    turns: Turns = "auto"
    scenario: Name | None = None
    llm: Name | None = None
    stt: Name | None = None
    tts: Name | None = None
    language: LanguageTag | None = None
    voice: VoiceFields | None = None
    session_id: SessionId | None = None
    user_id: ClaimedId = ""
    username: UserName = ""
    greet: bool = True


class Played(Command):
    """How many seconds of an answer's sound the listener has heard so far."""

    type: Literal["played"]
    item: int = Field(ge=0)
    seconds: float = Field(ge=0, allow_inf_nan=False)


class Scenario(Command):
    """Play another scenario from the next answer on."""

    type: Literal["scenario"]
    name: Name


ClientMessage = Start | SpeechStart | SpeechEnd | Interrupt | Text | Mute | Dtmf | Played | Scenario | Stop

_READER: Final[TypeAdapter[ClientMessage]] = TypeAdapter(
    Annotated[ClientMessage, Field(discriminator="type")]
)


_READ: Final[Mapping[str, ClientMessage]] = {
    json.dumps({"type": command.type}, separators=(",", colon)): command
    for command in (
        SpeechStart(type="speech.start"),
        SpeechEnd(type="speech.end"),
        Interrupt(type="interrupt"),
        Stop(type="stop"),
    )
    for colon in (":", ": ")
}
"""What is said most, as it is usually written: the end of speech is not read anew before each answer."""


def read_command(text: str) -> ClientMessage:
    """Read a JSON message.

    :raises ProtocolError: 422 `invalid_message`, naming every field that is wrong.
    """
    if (command := _READ.get(text)) is not None:
        return command
    return read_message(_READER, text)
