"""relay-chat, section 3.1 and 3.2: the form, and the answer to it."""

from __future__ import annotations

import pytest

from tests.contracts.harness import FORM, TrialServer, refusal


@pytest.mark.contract("RC-01", "RC-43")
def test_a_text_message_posted_as_multipart_is_answered_with_text(server: TrialServer) -> None:
    response = server.chat(message="Hello there")

    assert response.status_code == 200
    assert response.json() == {"message": "You said: Hello there", "type": "text"}


@pytest.mark.contract("RC-01")
def test_a_text_message_may_be_urlencoded(server: TrialServer) -> None:
    response = server.client.post("/chat", data={**FORM, "message": "Grüße & Küsse + 1"})

    assert response.json() == {"message": "You said: Grüße & Küsse + 1", "type": "text"}


@pytest.mark.contract("RC-01", "RC-03")
def test_a_voice_message_posted_as_multipart_is_answered(server: TrialServer, webm: bytes) -> None:
    assert server.say(webm).status_code == 200


@pytest.mark.contract("RC-02")
def test_a_text_answer_has_exactly_the_keys_message_and_type(server: TrialServer) -> None:
    response = server.chat()

    assert set(response.json()) == {"message", "type"}
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-request-id"]


@pytest.mark.contract("RC-06")
@pytest.mark.parametrize("kind", ["video", "TEXT", "text;voice", None, ""])
def test_another_type_is_refused_and_not_taken_for_text(server: TrialServer, kind: str | None) -> None:
    with server.noting("llm") as asked:
        body = refusal(server.chat(type=kind), 422, "invalid_request")

    assert [(error["field"], error["code"]) for error in body["errors"]] == [
        ("type", "invalid_choice" if kind else "required")
    ]
    assert asked == []


@pytest.mark.contract("RC-05")
@pytest.mark.parametrize("sound", [None, b""])
def test_a_voice_message_without_sound_is_refused_and_asks_no_model(
    server: TrialServer, sound: bytes | None
) -> None:
    with server.noting("llm") as asked, server.noting("stt") as heard:
        response = server.chat(type="voice") if sound is None else server.say(sound)

    assert refusal(response, 422, "audio_required")["detail"] == "A voice message needs an audio file."
    assert asked == heard == []


@pytest.mark.contract("RC-04")
@pytest.mark.parametrize("placeholder", ["[Voice Message]", "", None, "a text that somebody typed"])
def test_the_text_beside_a_voice_message_reaches_neither_model_nor_session(
    server: TrialServer, webm: bytes, placeholder: str | None
) -> None:
    with server.noting("llm") as asked:
        response = server.say(webm, message=placeholder, sessionId="placeholder")

    assert response.status_code == 200
    assert asked[0]["messages"][-1] == ["user", "Will it rain tomorrow?"]
    seen = [asked, server.window(sessionId="placeholder")]
    assert not placeholder or placeholder not in str(seen)


@pytest.mark.contract("RC-01", "RC-20")
def test_everything_wrong_with_a_form_is_listed_at_once(server: TrialServer) -> None:
    response = server.chat(message=" ", type="text", sessionId="a/b", userId="x" * 129, username=None)

    errors = refusal(response, 422, "invalid_request")["errors"]
    assert {(error["field"], error["code"]) for error in errors} == {
        ("message", "required"),
        ("sessionId", "invalid_characters"),
        ("userId", "too_long"),
        ("username", "required"),
    }


def test_fields_that_nobody_knows_are_ignored(server: TrialServer) -> None:
    assert server.chat(colour="green", wallet="0x1").status_code == 200


def test_sound_beside_a_text_message_is_not_listened_to(server: TrialServer, webm: bytes) -> None:
    with server.noting("stt") as heard, server.noting("scanner") as scanned:
        response = server.say(webm, type="text", message="Just read this")

    assert response.json() == {"message": "You said: Just read this", "type": "text"}
    assert heard == scanned == []


@pytest.mark.contract("RC-20")
def test_text_is_normalised_before_the_model_and_the_session_get_it(server: TrialServer) -> None:
    with server.noting("llm") as asked:
        server.chat(message="  cafe\u0301\r\nau\x00 lait\x1b[31m ", sessionId="normal")

    wanted = "café\nau lait[31m"
    assert asked[0]["messages"][-1] == ["user", wanted]
    window = server.window(sessionId="normal")
    assert window is not None
    assert window["messages"][0]["content"] == wanted


@pytest.mark.contract("RC-20")
def test_no_field_can_inject_a_log_line_or_a_header(server: TrialServer) -> None:
    forged = "2030-01-01 00:00:00,000 - root - CRITICAL - forged"
    before = len(server.output())
    for field in FORM:
        response = server.chat(**{field: f"x\r\n{forged}\r\nX-Forged: 1"})
        assert "x-forged" not in response.headers

    assert forged not in server.output()[before:]


def test_answers_of_every_language_arrive_as_they_are(server: TrialServer) -> None:
    text = '日本語 عربى 🎙️ <b>&amp;</b> "quoted" \\ back'

    assert server.chat(message=text).json()["message"] == f"You said: {text}"
