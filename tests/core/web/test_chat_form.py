"""The rules of a posted message's fields, each with the code that a client is told."""

from __future__ import annotations

import pytest

from jackfield import ProtocolError
from jackfield.web.chat_form import ChatForm, max_field_bytes, parse_chat
from jackfield.web.form import Form, Part

GOOD = {
    "message": "Hello",
    "type": "text",
    "sessionId": "session_17.0:a-b",
    "userId": "0x1",
    "username": "Ann",
}
MAX_TEXT_CHARS = 4096


def form(**fields: str | bytes | None) -> Form:
    found: Form = {}
    for name, value in {**GOOD, **fields}.items():
        if value is not None:
            found[name] = Part(max_field_bytes(MAX_TEXT_CHARS))
            found[name].add(value.encode() if isinstance(value, str) else value)
    return found


def parse(**fields: str | bytes | None) -> ChatForm:
    return parse_chat(form(**fields), max_text_chars=MAX_TEXT_CHARS, session_required=True)


def refused(**fields: str | bytes | None) -> list[tuple[str, str]]:
    with pytest.raises(ProtocolError) as error:
        parse(**fields)
    assert error.value.status == 422
    assert error.value.code == "invalid_request"
    return [(problem.field, problem.code) for problem in error.value.errors]


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("message", None, "required"),
        ("message", "", "required"),
        ("message", " \r\n\x00 ", "required"),
        ("message", "x" * 4097, "too_long"),
        ("message", " " * 100_000, "too_long"),
        ("message", b"caf\xe9", "invalid_characters"),
        ("type", None, "required"),
        ("type", "video", "invalid_choice"),
        ("type", "TEXT", "invalid_choice"),
        ("type", "text\n", "invalid_choice"),
        ("sessionId", None, "required"),
        ("sessionId", "", "required"),
        ("sessionId", "x" * 129, "too_long"),
        ("sessionId", "../../etc", "invalid_characters"),
        ("sessionId", "a b", "invalid_characters"),
        ("sessionId", "good\n", "invalid_characters"),
        ("sessionId", "ſession", "invalid_characters"),
        ("userId", None, "required"),
        ("userId", "   ", "required"),
        ("userId", "u" * 129, "too_long"),
        ("userId", "u1\r\nX-Admin: 1", "invalid_characters"),
        ("userId", "u\x85", "invalid_characters"),
        ("username", None, "required"),
        ("username", "\x07", "required"),
        ("username", "n" * 65, "too_long"),
    ],
)
def test_a_field_that_breaks_its_rule_is_named_with_a_code(name: str, value: str | None, code: str) -> None:
    assert refused(**{name: value}) == [(name, code)]


def test_everything_that_is_wrong_is_listed_at_once() -> None:
    nothing = dict.fromkeys(GOOD)

    assert refused(**nothing) == [
        (name, "required") for name in ("type", "message", "sessionId", "userId", "username")
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("message", "x" * 4096),
        ("message", "  " + "x" * 4096 + "\x00\r\n"),
        ("message", "e\u0301" * 4096),
        ("sessionId", "x" * 128),
        ("userId", "u" * 128),
        ("userId", "12345"),
        ("username", "n" * 64),
    ],
)
def test_a_field_just_within_its_rule_is_taken(name: str, value: str) -> None:
    parse(**{name: value})


def test_text_is_normalised() -> None:
    message = parse(message=" cafe\u0301\r\nau lait\x1b ", username=" Ann\n\tB ", userId=" u1 ")

    assert (message.text, message.username, message.user_id) == ("café\nau lait", "Ann B", "u1")


@pytest.mark.parametrize("placeholder", [None, "", "[Voice Message]"])
def test_a_voice_message_needs_no_text(placeholder: str | None) -> None:
    message = parse(type="voice", message=placeholder, audio=b"sound")

    assert message.upload().data == b"sound"


@pytest.mark.parametrize("audio", [None, b""])
def test_a_voice_message_needs_sound(audio: bytes | None) -> None:
    with pytest.raises(ProtocolError) as error:
        parse(type="voice", audio=audio)

    assert (error.value.status, error.value.code) == (422, "audio_required")
    assert error.value.detail == "A voice message needs an audio file."


def test_missing_sound_is_one_of_many_problems() -> None:
    assert refused(type="voice", userId="") == [("userId", "required"), ("audio", "required")]


def test_a_text_message_needs_no_session_where_the_server_makes_them() -> None:
    fields = form(sessionId=None)

    assert parse_chat(fields, max_text_chars=100, session_required=False).session_id is None
