"""What a door tells the client of a call: JSON messages of what happens in it, sound aside."""

from __future__ import annotations

from typing import Final, Literal, NotRequired, TypedDict

from jackfield.contracts.call import (
    CallEvent,
    CallTrouble,
    EndReason,
    ReplyFinished,
    ReplyStarted,
    ReplyText,
    SpeechStarted,
    SpeechStopped,
    UserText,
)
from jackfield.contracts.turn import ToolFinished, ToolStarted
from jackfield.errors import ProtocolError

_DIGITS: Final = 4
"""Of seconds: tenths of milliseconds."""

TROUBLES: Final = {
    "llm_failed": "The language model failed.",
    "llm_timeout": "The language model took too long.",
    "stt_failed": "The speech recogniser failed.",
    "stt_timeout": "The speech recogniser took too long.",
    "tts_failed": "The voice failed.",
    "tts_timeout": "The voice took too long.",
    "vad_failed": "The voice activity detector failed.",
    "session_busy": "Too many messages of this conversation wait.",
    "store_unavailable": "The conversation cannot be stored now.",
}
"""Sentences for what may go wrong during a call, by code."""


class SpeechMessage(TypedDict):
    """The user began to speak, or stopped."""

    type: Literal["speech.started", "speech.stopped"]


class TranscriptMessage(TypedDict):
    """What the user said."""

    type: Literal["transcript"]
    text: str
    final: bool


class ReplyStartedMessage(TypedDict):
    """An answer begins: sound from here on is its."""

    type: Literal["reply.started"]
    item: int


class ReplyTextMessage(TypedDict):
    """More words of the answer."""

    type: Literal["reply.text"]
    item: int
    text: str


class ReplyFinishedMessage(TypedDict):
    """The answer is over."""

    type: Literal["reply.finished"]
    item: int
    text: str
    outcome: Literal["ok", "interrupted", "failed"]
    stages: dict[str, float]
    providers: dict[str, str]


class ToolStartedMessage(TypedDict):
    """The model uses a tool."""

    type: Literal["tool.started"]
    id: str
    name: str


class ToolFinishedMessage(TypedDict):
    """The tool is done."""

    type: Literal["tool.finished"]
    id: str
    name: str
    ok: bool
    seconds: float


class ScenarioMessage(TypedDict):
    """The scenario was changed."""

    type: Literal["scenario"]
    name: str


class ErrorMessage(TypedDict):
    """Something is wrong; the call goes on unless it is fatal."""

    type: Literal["error"]
    code: str
    detail: str
    fatal: bool
    request_id: str
    field: NotRequired[str]
    retry_after_s: NotRequired[int]


class EndedMessage(TypedDict):
    """The call is over; nothing follows."""

    type: Literal["ended"]
    reason: EndReason


CallMessage = (
    SpeechMessage
    | TranscriptMessage
    | ReplyStartedMessage
    | ReplyTextMessage
    | ReplyFinishedMessage
    | ToolStartedMessage
    | ToolFinishedMessage
    | ScenarioMessage
    | ErrorMessage
    | EndedMessage
)
"""Everything of this kind."""


def message_of(event: CallEvent, request_id: str) -> CallMessage:
    """Give the message that tells of an event of the call."""
    match event:
        case SpeechStarted():
            return {"type": "speech.started"}
        case SpeechStopped():
            return {"type": "speech.stopped"}
        case UserText(text, final):
            return {"type": "transcript", "text": text, "final": final}
        case ReplyStarted(item):
            return {"type": "reply.started", "item": item}
        case ReplyText(item, text):
            return {"type": "reply.text", "item": item, "text": text}
        case ReplyFinished():
            return _finished(event)
        case ToolStarted(id, name):
            return {"type": "tool.started", "id": id, "name": name}
        case ToolFinished(id, name, ok, seconds):
            return {
                "type": "tool.finished",
                "id": id,
                "name": name,
                "ok": ok,
                "seconds": round(seconds, _DIGITS),
            }
        case CallTrouble(code):
            return {
                "type": "error",
                "code": code,
                "detail": TROUBLES.get(code, "Something went wrong on the server."),
                "fatal": False,
                "request_id": request_id,
            }


def error_message(error: ProtocolError, request_id: str, *, fatal: bool) -> ErrorMessage:
    """Give the message that tells of a refusal."""
    message: ErrorMessage = {
        "type": "error",
        "code": error.code,
        "detail": error.detail,
        "fatal": fatal,
        "request_id": request_id,
    }
    if error.errors and error.errors[0].field:
        message["field"] = error.errors[0].field
    retry_after = error.headers.get("Retry-After", "")
    if retry_after.isdigit():
        message["retry_after_s"] = int(retry_after)
    return message


def _finished(event: ReplyFinished) -> ReplyFinishedMessage:
    return {
        "type": "reply.finished",
        "item": event.item,
        "text": event.text,
        "outcome": event.outcome,
        "stages": {stage: round(seconds, _DIGITS) for stage, seconds in event.stages.items()},
        "providers": dict(event.providers),
    }
