"""What a client may say to a call in JSON, whatever the door, and how such a message is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from jackfield.errors import FieldError, ProtocolError
from jackfield.text import normalise

M = TypeVar("M")

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
_FORMATS: Final = frozenset({"pcm_s16le", "opus"})


class Command(BaseModel):
    """Base of the messages: unknown fields are refused, and nothing is taken for what it is not."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


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


class Stop(Command):
    """End the call."""

    type: Literal["stop"]


def read_message(reader: TypeAdapter[M], text: str) -> M:
    """Read a JSON message as one of those that the reader knows by their `type`.

    :raises ProtocolError: 422 `invalid_message`, naming every field that is wrong.
    """
    try:
        return reader.validate_json(text)
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
