"""Signing in at two servers on one Redis: what one of them knows, the other does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contracts.harness import Tree, TrialServer, refusal
from tests.contracts.sign_in import CHEAP, KEY, chat_as, log_in, signed_in
from tests.redis_server import RedisServer
from tests.wallets import DOMAIN, Wallet

ANN = Wallet()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TrialServer, TrialServer]]:
    """Two servers with accounts, and with wallets under `/w`."""
    folder = tmp_path_factory.mktemp("pair")
    with RedisServer(folder / "redis") as redis:
        config: Tree = {
            "session": {"use": "redis", "options": {"folder": None, "url": redis.url}},
            "auth": {
                "people": {"use": "accounts", "options": {"secret_key": KEY, "failures": 4, **CHEAP}},
                "wallets": {"use": "wallet", "options": {"secret_key": KEY, "domain": DOMAIN}},
            },
            "transport": [
                {"use": "relay_chat", "auth": "people"},
                {"use": "relay_chat", "mount": "/w", "auth": "wallets"},
            ],
        }
        with TrialServer(folder / "one", config) as one, TrialServer(folder / "two", config) as two:
            yield one, two


@pytest.mark.contract("SA-02", "SA-03")
def test_an_account_of_one_server_is_one_of_the_other(pair: tuple[TrialServer, TrialServer]) -> None:
    one, two = pair
    user, headers = signed_in(one, "ann@example.com")

    assert log_in(two).status_code == 200
    assert two.client.get("/users/me", headers=headers).json()["id"] == user
    assert chat_as(two, user, headers).status_code == 200


@pytest.mark.contract("SA-27")
def test_failed_attempts_are_counted_together(pair: tuple[TrialServer, TrialServer]) -> None:
    attempts = [log_in(pair[n % 2], "bob@example.com", "wrong-password").status_code for n in range(5)]
    assert attempts == [401, 401, 401, 401, 429]


@pytest.mark.contract("RC-17")
def test_a_nonce_of_one_server_is_good_once_at_either(pair: tuple[TrialServer, TrialServer]) -> None:
    one, two = pair
    message = ANN.message(one.client.get("/w/auth/nonce").raise_for_status().json()["nonce"])
    body = {"message": message, "signature": ANN.sign(message)}

    token = two.client.post("/w/auth/verify", json=body).raise_for_status().json()["access_token"]
    refusal(one.client.post("/w/auth/verify", json=body), 401, "invalid_nonce")
    headers = {"Authorization": f"Bearer {token}"}
    assert chat_as(one, ANN.address, headers, "/w/chat").status_code == 200
    refusal(chat_as(one, ANN.address, headers), 401, "not_authenticated")  # accounts know no wallets
