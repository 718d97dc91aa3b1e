"""speech-assistant, sections 4.1 and 4.2: making sessions, and whose offers are taken."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from tests.contracts.harness import ServerFactory, refusal
from tests.contracts.speech import Replicas, end, ended, new_session, newcomer, signal, speaking

Headers = Mapping[str, str]
STRICT: Final = speaking(
    config={"server": {"cors_origins": ["https://page.example"]}, "limits": {"user_per_minute": 3}}
)


@pytest.fixture
def ann(speech: Replicas) -> Headers:
    """Somebody without a session."""
    return newcomer(speech)


@pytest.mark.contract("SA-06")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_session_is_made_and_not_kept_by_caches(speech: Replicas, ann: Headers, method: str) -> None:
    wanted = {"scenario_id": "gameshow-host"}
    if method == "POST":
        response = speech.client.post("/realtime/session", json=wanted, headers=ann)
    else:
        response = speech.client.get("/realtime/session", params=wanted, headers=ann)

    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    session = response.json()
    assert set(session) == {
        "session_id",
        "client_secret",
        "client_secret_expires_at",
        "scenario_id",
        "ice_servers",
    }
    assert re.fullmatch(r"rs_[A-Za-z0-9_-]{22,}", session["session_id"])
    assert re.fullmatch(r"cs_[A-Za-z0-9_-]{22,}", session["client_secret"])
    assert session["scenario_id"] == "gameshow_host"
    assert session["client_secret_expires_at"].endswith("Z")
    expires = datetime.fromisoformat(session["client_secret_expires_at"])
    assert 590 < (expires - datetime.now(UTC)).total_seconds() < 610


@pytest.mark.contract("SA-07")
def test_the_servers_of_the_configuration_are_handed_out(speech: Replicas, ann: Headers) -> None:
    assert new_session(speech, ann)["ice_servers"] == [
        {"urls": ["stun:stun.example.org:3478"]},
        {"urls": ["turn:turn.example.org"], "username": "everybody", "credential": "known-to-all"},
    ]


@pytest.mark.contract("SA-49")
def test_a_third_session_of_a_user_is_refused_until_one_is_over(speech: Replicas, ann: Headers) -> None:
    first, _second = new_session(speech, ann), new_session(speech, ann)
    refusal(speech.client.get("/realtime/session", headers=ann), 429, "too_many_sessions")
    assert end(speech, ann, first).status_code == 204
    new_session(speech, ann)


@pytest.mark.contract("SA-08")
def test_a_secret_is_its_own_sessions(speech: Replicas, ann: Headers) -> None:
    one, two = new_session(speech, ann), new_session(speech, ann)
    refused = signal(speech, ann, one, client_secret=two["client_secret"])
    refusal_of_fields(refused, "invalid_client_secret")


@pytest.mark.contract("SA-08", "SA-28")
def test_an_offer_that_cannot_be_answered_does_not_use_the_secret_up(speech: Replicas, ann: Headers) -> None:
    session = new_session(speech, ann)
    refusal_of_fields(signal(speech, ann, session), "invalid_sdp")
    as_it_was_once = {"value": session["client_secret"]}
    refusal_of_fields(signal(speech, ann, session, client_secret=as_it_was_once), "invalid_sdp")


@pytest.mark.contract("SA-45")
def test_nobody_reaches_anothers_session(speech: Replicas, ann: Headers) -> None:
    session = new_session(speech, ann)
    bob = newcomer(speech)
    refusal(signal(speech, bob, session), 403, "not_your_session")
    refusal(end(speech, bob, session), 403, "not_your_session")


@pytest.mark.contract("SA-28")
def test_a_session_that_is_over_is_not_found(speech: Replicas, ann: Headers) -> None:
    session = new_session(speech, ann)
    with ended(speech, ann, session):
        pass
    refusal(signal(speech, ann, session), 404, "session_not_found")
    refusal(end(speech, ann, session), 404, "session_not_found")
    refusal(signal(speech, ann, {**session, "session_id": "rs_nobodys"}), 404, "session_not_found")


@pytest.mark.contract("SA-28")
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"session_id": ""}, "session_id"),
        ({"session_id": 7}, "session_id"),
        ({"session_id": "x" * 129}, "session_id"),
        ({"client_secret": None}, "client_secret"),
        ({"client_secret": {"secret": "x"}}, "client_secret"),
        ({"client_secret": ["x"]}, "client_secret"),
        ({"sdp": ""}, "sdp"),
        ({"sdp": {"type": "offer"}}, "sdp"),
    ],
    ids=["empty", "number", "long", "null", "object", "list", "no-offer", "no-text"],
)
def test_fields_of_an_offer_are_checked(
    speech: Replicas, ann: Headers, changes: dict[str, Any], field: str
) -> None:
    session = {"session_id": "rs_1", "client_secret": "cs_1"}
    body = refusal(signal(speech, ann, session, **changes), 422, "invalid_request")
    assert [error["field"] for error in body["errors"]] == [field]


@pytest.mark.contract("SA-28")
@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        (b"[]", "application/json", 400, "malformed_body"),
        (b"{", "application/json", 400, "malformed_body"),
        (b"a=b", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b'{"sdp": "' + b"x" * 300_000 + b'"}', "application/json", 413, "body_too_large"),
    ],
    ids=["list", "cut", "form", "large"],
)
def test_bodies_are_checked(
    speech: Replicas, ann: Headers, content: bytes, kind: str, status: int, code: str
) -> None:
    headers = {**ann, "Content-Type": kind}
    response = speech.client.post("/realtime/signal", content=content, headers=headers)
    refusal(response, status, code)


@pytest.mark.contract("SA-28", "SA-08")
def test_an_offer_may_have_64_kibibytes(speech: Replicas, ann: Headers) -> None:
    session = new_session(speech, ann)
    refusal_of_fields(signal(speech, ann, session, sdp="v=0\r\n" + "a" * 65_536), "invalid_sdp")


@pytest.mark.contract("SA-20")
@pytest.mark.parametrize("scenario", ["unknown", "default!", "../default"])
def test_an_unknown_scenario_makes_no_session(speech: Replicas, ann: Headers, scenario: str) -> None:
    response = speech.client.get("/realtime/session", params={"scenario_id": scenario}, headers=ann)
    refusal(response, 404, "scenario_not_found")


@pytest.mark.contract("SA-19")
def test_three_scenarios_are_built_in_and_others_configured(speech: Replicas, ann: Headers) -> None:
    assert speech.client.get("/scenarios", headers=ann).json() == {
        "scenarios": [
            {"id": "default", "name": "Default Assistant"},
            {"id": "customer_service", "name": "Customer Service"},
            {"id": "gameshow_host", "name": "Gameshow Host"},
            {"id": "quiz_night", "name": "Quiz night"},
        ]
    }


@pytest.mark.contract("SA-32")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/realtime/session"),
        ("POST", "/realtime/session"),
        ("POST", "/realtime/signal"),
        ("DELETE", "/realtime/session/rs_1"),
        ("GET", "/scenarios"),
    ],
)
def test_every_route_asks_who_one_is(speech: Replicas, method: str, path: str) -> None:
    response = speech.client.request(method, path)
    refusal(response, 401, "not_authenticated")
    assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.contract("SA-25")
def test_pages_of_configured_origins_may_ask(start: ServerFactory) -> None:
    page = "https://page.example"
    server = start("strict", STRICT)
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    for origin, allowed in ((page, page), ("https://other.example", None)):
        response = server.client.options("/realtime/signal", headers={**asked, "Origin": origin})
        assert response.headers.get("access-control-allow-origin") == allowed


@pytest.mark.contract("SA-27")
def test_requests_are_counted(start: ServerFactory) -> None:
    server = start("strict", STRICT)
    headers = newcomer(server)
    answers = [server.client.get("/scenarios", headers=headers) for _ in range(4)]
    assert [answer.status_code for answer in answers[:3]] == [200] * 3
    refusal(answers[3], 429, "rate_limited")
    assert int(answers[3].headers["retry-after"]) > 0


def refusal_of_fields(response: Any, code: str) -> None:
    """Check a refusal with 422 that is about no single field."""
    assert (response.status_code, response.json()["code"]) == (422, code), response.text
