"""relay-chat, section 7: with authentication on."""

from __future__ import annotations

import pytest

from tests.contracts.harness import TrialServer, refusal

ANN = {"Authorization": "Bearer token-of-0xAbCdEf"}
BOB = {"Authorization": "Bearer token-of-0x999"}


@pytest.mark.contract("RC-17")
def test_a_user_whom_the_plugin_knows_is_served(guarded: TrialServer) -> None:
    assert guarded.chat(userId="0xAbCdEf", headers=ANN).status_code == 200


@pytest.mark.contract("RC-17")
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer forged"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic dG9rZW4="},
    ],
)
def test_anybody_else_is_refused(guarded: TrialServer, headers: dict[str, str]) -> None:
    with guarded.noting("llm") as asked:
        response = guarded.chat(userId="0xAbCdEf", headers=headers)

    refusal(response, 401, "not_authenticated")
    assert response.headers["www-authenticate"] == "Bearer"
    assert asked == []


@pytest.mark.contract("RC-18")
def test_the_id_of_somebody_else_is_refused(guarded: TrialServer) -> None:
    with guarded.noting("llm") as asked:
        refusal(guarded.chat(userId="0x999", headers=ANN), 403, "user_mismatch")
    assert asked == []


@pytest.mark.contract("RC-18")
def test_a_wallet_may_be_written_in_any_case(guarded: TrialServer) -> None:
    assert guarded.chat(userId="0xABCDEF", sessionId="case", headers=ANN).status_code == 200
    with guarded.noting("llm") as asked:
        guarded.chat(userId="0xabcdef", sessionId="case", headers=ANN)

    assert len([message for message in asked[0]["messages"] if message[0] == "user"]) == 2


@pytest.mark.contract("RC-18", "RC-48")
def test_refreshing_asks_who_one_is(guarded: TrialServer) -> None:
    guarded.chat(userId="0x999", sessionId="bobs", headers=BOB)

    def refresh(user: str, headers: dict[str, str]) -> int:
        path = "/sessions/bobs/refresh"
        return guarded.client.post(path, data={"userId": user}, headers=headers).status_code

    assert refresh("0x999", {}) == 401
    assert refresh("0x999", ANN) == 403
    assert refresh("0xAbCdEf", ANN) == 404
    assert refresh("0x999", BOB) == 204


def test_a_spoken_answer_is_fetched_without_a_token(guarded: TrialServer, webm: bytes) -> None:
    url = guarded.say(webm, userId="0x999", headers=BOB).json()["audioUrl"]

    assert guarded.client.get(url).status_code == 200
