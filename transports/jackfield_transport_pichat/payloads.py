"""What clients send: the payload of each action, which is the body of the route of the same meaning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from jackfield.errors import FieldError, ProtocolError
from jackfield.text import normalise

MAX_TITLE_CHARS: Final = 200
DEFAULT_TITLE: Final = "New Conversation"
_MAX_CURSOR_CHARS: Final = 1024

_MESSAGES: Final[Mapping[str, tuple[str, str]]] = {
    "missing": ("required", "This field is required."),
    "required": ("required", "This field is required."),
    "string_type": ("invalid_type", "This field must be a string."),
    "int_type": ("invalid_type", "This field must be a whole number."),
    "int_parsing": ("invalid_type", "This field must be a whole number."),
    "bool_type": ("invalid_type", "This field must be true or false."),
    "model_type": ("invalid_type", "This field must be an object."),
    "string_too_long": ("too_long", "This field is too long."),
    "too_long": ("too_long", "This field is too long."),
    "greater_than_equal": ("too_small", "This number is too small."),
    "less_than_equal": ("too_large", "This number is too large."),
}


def _required(text: str) -> str:
    text = normalise(text)
    if not text:
        raise PydanticCustomError("required", "empty")
    return text


def _title(text: str) -> str:
    if len(text) > MAX_TITLE_CHARS:
        raise PydanticCustomError("too_long", "too long")
    return text


def _or_default(value: object) -> object:
    """Nothing but white space says as little as nothing."""
    if value is None or (isinstance(value, str) and not normalise(value)):
        return DEFAULT_TITLE
    return value


def _absent(default: object) -> Callable[[object], object]:
    return lambda value: default if value is None else value


Text = Annotated[str, AfterValidator(_required)]
Title = Annotated[Text, AfterValidator(_title)]
Identifier = Annotated[str, Field(min_length=1)]
Cursor = Annotated[str, Field(max_length=_MAX_CURSOR_CHARS)]


class Payload(BaseModel):
    """Unknown fields are ignored; null is the same as an absent field."""

    model_config = ConfigDict(frozen=True, strict=True, hide_input_in_errors=True)


class Nothing(Payload):
    """An action that needs no data."""


class ListConversations(Payload):
    """A page of the user's conversations."""

    limit: Annotated[int, BeforeValidator(_absent(100)), Field(ge=1, le=200)] = 100
    cursor: Cursor | None = None


class CreateConversation(Payload):
    """A new conversation."""

    title: Annotated[Title, BeforeValidator(_or_default)] = DEFAULT_TITLE


class GetConversation(Payload):
    """A conversation by id."""

    id: Identifier


class UpdateConversation(Payload):
    """Another title for a conversation."""

    id: Identifier
    title: Title


class SendMessage(Payload):
    """Something that the user says."""

    conversation_id: Identifier
    content: Text
    is_audio: Annotated[bool, BeforeValidator(_absent(default=False))] = False
    stream: Annotated[bool, BeforeValidator(_absent(default=False))] = False


class GetMessages(Payload):
    """A page of a conversation: the newest messages, or those older than `before`."""

    conversation_id: Identifier
    limit: Annotated[int, BeforeValidator(_absent(100)), Field(ge=1, le=500)] = 100
    before: Identifier | None = None


class VoiceSettings(Payload):
    """Who is to speak."""

    gender: str | None = None
    accent: str | None = None


class UpdateSettings(Payload):
    """Settings to change; those that are absent keep their values."""

    selected_model: str | None = None
    voice_settings: Annotated[VoiceSettings, BeforeValidator(_absent({}))] = VoiceSettings()


class TextToSpeech(Payload):
    """A text to speak; without a voice in the user's own."""

    text: Text
    voice_gender: str | None = None
    voice_accent: str | None = None


class SpeechToText(Payload):
    """A recording to understand."""

    audio_data: Identifier = Field(repr=False)
    mime_type: str | None = None
    language: Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] | None = None


P = TypeVar("P", bound=Payload)


def checked(kind: type[P], payload: object, mode: Literal["json", "query"] = "json") -> P:
    """Make what a client sent a payload; `mode` tells strings of an address from values of JSON.

    :raises ProtocolError: 422 `invalid_request` with every field that breaks a rule.
    """
    try:
        if mode == "query":
            return kind.model_validate_strings(payload, strict=False)
        return kind.model_validate({} if payload is None else payload)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise invalid(*map(_field_error, found)) from None


def invalid(*errors: FieldError) -> ProtocolError:
    """The refusal of a payload."""
    return ProtocolError(422, "invalid_request", "The payload breaks a rule.", errors)


def too_long(field: str) -> ProtocolError:
    """The refusal of a text beyond its limit."""
    return invalid(FieldError(field, *_MESSAGES["too_long"]))


def _field_error(item: Mapping[str, Any]) -> FieldError:
    where = ".".join(str(part) for part in item["loc"]) or "payload"
    code, message = _MESSAGES.get(item["type"], ("invalid", "This field breaks a rule."))
    return FieldError(where, code, message)
