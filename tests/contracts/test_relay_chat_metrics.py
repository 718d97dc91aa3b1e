"""relay-chat, section 10: the figures on /metrics."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contracts.harness import FORM, TrialServer

DOOR = 'transport="relay_chat"'


def change(server: TrialServer, name: str, action: Callable[[], object]) -> float:
    """By how much a figure grows through an action."""
    before = server.figures().get(name, 0.0)
    action()
    return server.figures().get(name, 0.0) - before


@pytest.mark.contract("RC-38")
@pytest.mark.parametrize("kind", ["text", "voice"])
def test_the_time_each_message_takes_is_observed(server: TrialServer, webm: bytes, kind: str) -> None:
    def send() -> None:
        server.chat() if kind == "text" else server.say(webm)

    labels = f'{{{DOOR},type="{kind}"}}'
    assert change(server, f"jackfield_message_seconds_count{labels}", send) == 1
    assert 0 < change(server, f"jackfield_message_seconds_sum{labels}", send) < 10


@pytest.mark.contract("RC-42")
@pytest.mark.parametrize("kind", ["text", "voice"])
def test_answered_messages_are_counted(server: TrialServer, webm: bytes, kind: str) -> None:
    def send() -> None:
        server.chat() if kind == "text" else server.say(webm)

    assert change(server, f'jackfield_messages_total{{{DOOR},type="{kind}"}}', send) == 1


@pytest.mark.contract("RC-42")
def test_sessions_are_counted_once(server: TrialServer) -> None:
    def talk() -> None:
        server.chat(sessionId="counted once")
        server.chat(sessionId="counted-once")
        server.chat(sessionId="counted-once")

    for name in (f"jackfield_sessions_total{{{DOOR}}}", f"jackfield_active_sessions{{{DOOR}}}"):
        assert change(server, name, talk) == (1 if "total" in name else 0)


@pytest.mark.contract("RC-40")
@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [({"type": "fax"}, 422, "invalid_request"), ({"type": "voice"}, 422, "audio_required")],
)
def test_errors_are_counted_by_code_beside_requests_by_status(
    server: TrialServer, fields: dict[str, str], status: int, code: str
) -> None:
    def send() -> None:
        server.chat(**fields)

    assert change(server, f'jackfield_errors_total{{code="{code}",{DOOR}}}', send) == 1
    assert change(server, f'jackfield_requests_total{{status="{status}",{DOOR}}}', send) == 1


@pytest.mark.contract("RC-40")
def test_unforeseen_errors_are_counted_too(server: TrialServer) -> None:
    def send() -> None:
        with server.told(llm="raise"):
            server.chat()

    assert change(server, f'jackfield_errors_total{{code="internal_error",{DOOR}}}', send) == 1


@pytest.mark.contract("RC-41")
@pytest.mark.parametrize("stage", ["decode", "stt", "tts"])
def test_every_step_of_a_voice_message_is_counted(server: TrialServer, webm: bytes, stage: str) -> None:
    name = f'jackfield_audio_total{{outcome="ok",stage="{stage}"}}'

    assert change(server, name, lambda: server.say(webm)) == 1


@pytest.mark.contract("RC-41")
@pytest.mark.parametrize("stage", ["decode", "stt", "tts"])
def test_every_step_that_fails_is_counted(server: TrialServer, webm: bytes, stage: str) -> None:
    def send() -> None:
        if stage == "decode":
            server.say(b"\x1a\x45\xdf\xa3" + bytes(500))
        else:
            with server.told(**{stage: "fail"}):
                server.say(webm)

    assert change(server, f'jackfield_audio_total{{outcome="error",stage="{stage}"}}', send) == 1


@pytest.mark.contract("RC-42")
def test_no_figure_names_a_user_a_session_or_a_text(server: TrialServer) -> None:
    server.chat(
        message="a unique text", userId="a unique user", username="a unique name", sessionId="uniquesession"
    )

    text = server.client.get("/metrics").text
    assert "unique" not in text
    assert FORM["userId"] not in text


@pytest.mark.contract("RC-58")
def test_the_size_of_stored_answers_is_shown(server: TrialServer, webm: bytes) -> None:
    server.say(webm)

    on_disk = sum(path.stat().st_size for path in server.clips())
    assert server.figures()["jackfield_audio_bytes"] == on_disk > 0


@pytest.mark.contract("RC-58")
def test_the_size_of_the_store_is_shown(server: TrialServer) -> None:
    grown = change(
        server, "jackfield_store_bytes", lambda: server.chat(sessionId="large", message="x" * 4000)
    )

    assert grown > 8000
