"""relay-chat, section 7, with wallets: a signed message gives a token, and a token opens the door."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import httpx
import pytest

from tests.contracts.harness import ServerFactory, Tree, TrialServer, refusal
from tests.contracts.sign_in import KEY, bearer, outcome, voice_socket
from tests.wallets import DOMAIN, Wallet, moment

ANN: Final = Wallet()
BOB: Final = Wallet(b"\x22" * 32)


def wallets(**options: Any) -> Tree:
    """Wallets before a door for text and one for calls."""
    return {
        "session": {"use": "memory", "options": None},
        "auth": {"wallets": {"use": "wallet", "options": {"secret_key": KEY, "domain": DOMAIN, **options}}},
        "transport": [{"use": use, "auth": "wallets"} for use in ("relay_chat", "voice_socket")],
    }


@pytest.fixture(scope="module")
def server(start: ServerFactory) -> TrialServer:
    """A server that wallets sign in at."""
    return start("wallets", wallets())


def nonce(server: TrialServer) -> str:
    """Ask for a nonce."""
    text: str = server.client.get("/auth/nonce").raise_for_status().json()["nonce"]
    return text


def verify(server: TrialServer, message: object, signature: object) -> httpx.Response:
    """Bring a signed message."""
    return server.client.post("/auth/verify", json={"message": message, "signature": signature})


@pytest.mark.contract("RC-17")
def test_a_nonce_is_unguessable_and_says_until_when(server: TrialServer) -> None:
    answers = [server.client.get("/auth/nonce") for _ in range(3)]

    assert all(answer.headers["cache-control"] == "no-store" for answer in answers)
    found = {answer.json()["nonce"] for answer in answers}
    assert len(found) == 3
    assert all(len(text) >= 17 and text.isalnum() and text.isascii() for text in found)
    assert moment(290) <= answers[0].json()["expires_at"] <= moment(301)


@pytest.mark.contract("RC-17", "RC-18")
def test_a_signed_message_opens_the_door_to_its_wallet_alone(server: TrialServer) -> None:
    message = ANN.message(nonce(server))
    response = verify(server, message, ANN.sign(message))

    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    body = response.json()
    assert set(body) == {"access_token", "token_type", "expires_in", "address"}
    assert (body["token_type"], body["expires_in"]) == ("bearer", 1800)
    assert body["address"] == ANN.address.lower()
    headers = bearer(body["access_token"])
    for spelling in (ANN.address, ANN.address.lower(), ANN.address.upper()):
        assert server.chat(userId=spelling, headers=headers).status_code == 200
    refusal(server.chat(userId=BOB.address, headers=headers), 403, "user_mismatch")
    refusal(server.chat(userId=ANN.address), 401, "not_authenticated")
    with voice_socket(server, token=body["access_token"]) as socket:
        assert outcome(socket) == "open"


@pytest.mark.contract("RC-17")
def test_a_nonce_is_good_once_even_for_many_at_once(server: TrialServer) -> None:
    message = ANN.message(nonce(server))
    signature = ANN.sign(message)
    with ThreadPoolExecutor(5) as threads:
        answers = list(threads.map(lambda _: verify(server, message, signature), range(5)))

    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401, 401]
    refusal(verify(server, message, signature), 401, "invalid_nonce")
    forged = ANN.message("n0tIssuedHere12345")
    refusal(verify(server, forged, ANN.sign(forged)), 401, "invalid_nonce")


@pytest.mark.contract("RC-17")
def test_a_wrong_signature_uses_the_nonce_up(server: TrialServer) -> None:
    message = ANN.message(nonce(server))

    refusal(verify(server, message, BOB.sign(message)), 401, "invalid_signature")
    refusal(verify(server, message, ANN.sign(message)), 401, "invalid_nonce")


@pytest.mark.contract("RC-17")
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"domain": "evil.example"}, "wrong_domain"),
        ({"domain": f"http://{DOMAIN}"}, "wrong_domain"),
        ({"uri": "https://evil.example/login"}, "wrong_domain"),
        ({"uri": f"http://{DOMAIN}/login"}, "wrong_domain"),
        ({"chain_id": 137}, "wrong_chain"),
        ({"issued_at": moment(-3600)}, "expired_message"),
        ({"issued_at": moment(3600)}, "expired_message"),
        ({"more": f"\nExpiration Time: {moment(-1)}"}, "expired_message"),
        ({"more": f"\nNot Before: {moment(3600)}"}, "expired_message"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_a_message_for_elsewhere_or_another_time_is_refused(
    server: TrialServer, changes: dict[str, Any], code: str
) -> None:
    message = ANN.message(nonce(server), **changes)
    refusal(verify(server, message, ANN.sign(message)), 401, code)


@pytest.mark.contract("RC-17")
def test_the_name_that_a_request_calls_the_server_by_does_not_count(server: TrialServer) -> None:
    message = ANN.message(nonce(server), domain="evil.example", uri="https://evil.example/")
    body = {"message": message, "signature": ANN.sign(message)}
    response = server.client.post("/auth/verify", json=body, headers={"Host": "evil.example"})
    refusal(response, 401, "wrong_domain")


@pytest.mark.contract("RC-17")
def test_a_contract_wallet_is_told_that_it_cannot_sign_in(server: TrialServer) -> None:
    message = ANN.message(nonce(server))
    detail = refusal(verify(server, message, "0x" + "6492" * 64), 401, "invalid_signature")["detail"]
    assert "contract wallets" in detail


@pytest.mark.contract("RC-17")
@pytest.mark.parametrize(
    ("message", "signature", "field"),
    [(None, "0x", "message"), ("Hello", "0x", "message"), (7, "0x", "message"), ("", None, "message")],
)
def test_what_is_no_such_message_is_named(
    server: TrialServer, message: object, signature: object, field: str
) -> None:
    found = refusal(verify(server, message, signature), 422, "invalid_request")
    assert [item["field"] for item in found["errors"]] == [field]


@pytest.mark.contract("RC-17")
def test_a_message_without_a_signature_is_named(server: TrialServer) -> None:
    found = refusal(verify(server, ANN.message(nonce(server)), None), 422, "invalid_request")
    assert [item["field"] for item in found["errors"]] == ["signature"]


def test_addresses_are_shortened_in_the_log_and_tokens_absent(server: TrialServer) -> None:
    token = BOB.sign_in(server.client)
    log = server.output()

    assert f"{BOB.address[:6].lower()}…{BOB.address[-4:].lower()} signed in" in log
    assert BOB.address.lower() not in log.lower()
    assert token[-30:] not in log


@pytest.mark.contract("RC-17")
def test_asking_for_nonces_is_limited_by_address(start: ServerFactory) -> None:
    server = start("limited", {**wallets(), "limits": {"address_per_minute": 3}})
    codes = [server.client.get("/auth/nonce").status_code for _ in range(4)]
    assert codes == [200, 200, 200, 429]
