"""What a client may say: every JSON message of its side, and how one is read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from jackfield.contracts.call import Turns
from jackfield.contracts.tts import Voice
from jackfield.errors import FieldError, ProtocolError
from jackfield.text import CONTROL_CHARACTERS, normalise

PROTOCOL: Final = 1
"""Version of the protocol that this server speaks."""

_FORMATS: Final = frozenset({"pcm_s16le", "opus"})
_SENTENCES: Final[Mapping[str, tuple[str, str]]] = {
    "missing": ("required", "This field is required."),
    "extra_forbidden": ("unknown_field", "The message has no such field."),
    "union_tag_not_found": ("required", "This field is required."),
    "union_tag_invalid": ("invalid_choice", "This is not one of the choices."),
    "literal_error": ("invalid_choice", "This is not one of the choices."),
    "string_too_long": ("too_long", "This is too long."),
    "string_pattern_mismatch": ("invalid_characters", "This has characters that are not allowed."),
}
_DISCRIMINATORS: Final = ("type", "format")


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


class Command(BaseModel):
    """Base of the messages: unknown fields are refused, and nothing is taken for what it is not."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


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


class SpeechStart(Command):
    """The user begins to speak."""

    type: Literal["speech.start"]


class SpeechEnd(Command):
    """The user has finished."""

    type: Literal["speech.end"]


class Interrupt(Command):
    """Stop the answer."""

    type: Literal["interrupt"]


class Text(Command):
    """A typed message."""

    type: Literal["text"]
    text: str


class Mute(Command):
    """Stop listening, or listen again."""

    type: Literal["mute"]
    on: bool


class Dtmf(Command):
    """A key of a telephone was pressed."""

    type: Literal["dtmf"]
    digit: str = Field(pattern=r"^[0-9*#A-D]$")


class Played(Command):
    """How many seconds of an answer's sound the listener has heard so far."""

    type: Literal["played"]
    item: int = Field(ge=0)
    seconds: float = Field(ge=0, allow_inf_nan=False)


class Scenario(Command):
    """Play another scenario from the next answer on."""

    type: Literal["scenario"]
    name: Name


class Stop(Command):
    """End the call."""

    type: Literal["stop"]


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
    try:
        return _READER.validate_json(text)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise invalid(*map(_field_error, found)) from None  # the cause holds what the user wrote


def message_text(command: Text, max_chars: int) -> str:
    """Give the words of a typed message, normalised.

    :raises ProtocolError: 422 `invalid_message` when there are none, or too many.
    """
    text = normalise(command.text)
    if not text:
        raise invalid(FieldError("text", "required", "There is nothing to answer in it."))
    if len(text) > max_chars:
        raise invalid(FieldError("text", "too_long", f"It has more than {max_chars} characters."))
    return text


def invalid(*errors: FieldError) -> ProtocolError:
    """The refusal of a message."""
    first = errors[0]
    detail = f"{first.field}: {first.message}" if first.field else first.message
    return ProtocolError(422, "invalid_message", detail, errors)


def _field_error(found: Mapping[str, Any]) -> FieldError:
    kind = found["type"]
    if kind == "json_invalid":
        return FieldError("", "malformed", "The message is no JSON.")
    field = _field(found["loc"])
    if kind in {"union_tag_not_found", "union_tag_invalid"}:
        field = ".".join(filter(None, [field, _DISCRIMINATORS[bool(field)]]))
    code, message = _SENTENCES.get(kind, ("invalid", f"{found['msg']}."))
    return FieldError(field or "type", code, message)


def _field(location: Sequence[str | int]) -> str:
    """Where in the message: without its type, and without the format that pydantic puts between."""
    parts = [str(part) for part in location[1:]]
    return ".".join(part for at, part in enumerate(parts) if not (at and part in _FORMATS))
