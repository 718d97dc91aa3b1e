"""Fixed tokens: whom they let in, and what stops the start."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import httpx
import pytest

from jackfield import ConfigError, Site
from jackfield.contracts.auth import Auth, Credentials, Identity
from jackfield.testing import AuthSuite
from jackfield_auth_api_token import ApiTokenOptions, make_auth, plugin_info
from tests.server_process import ServerProcess

pytestmark = pytest.mark.anyio

TOKEN, OTHER = "Yk3p_0dL9vQ2xW7zTt", "bF8sN1cRq5Hm6JgKe4"


def auth(*, production: bool = False, **options: Any) -> Auth:
    site = Site("auth.devices", "api_token", logging.getLogger("test"), production=production)
    return make_auth(ApiTokenOptions.model_validate(options), site)


class TestConformance(AuthSuite):
    subject = "kitchen"

    @pytest.fixture
    def auth(self) -> Auth:
        return auth(token=TOKEN, tokens={"kitchen": OTHER})

    @pytest.fixture
    def credentials(self) -> Credentials:
        return Credentials(OTHER)


async def test_each_token_is_one_user() -> None:
    both = auth(token=TOKEN, tokens={"kitchen": OTHER})

    assert await both.identify(Credentials(TOKEN)) == Identity("default")
    assert await both.identify(Credentials(headers={"x-api-key": OTHER})) == Identity("kitchen")
    assert await both.identify(Credentials(TOKEN[:-1])) is None


async def test_a_bearer_that_is_wrong_is_not_saved_by_a_key_that_is_right() -> None:
    assert await auth(token=TOKEN).identify(Credentials("wrong", {"x-api-key": TOKEN})) is None


@pytest.mark.parametrize("token", ["", " ", "your_secure_token_here"])
async def test_without_a_token_everybody_is_the_default_user(token: str) -> None:
    options = ApiTokenOptions.model_validate({"token": token})

    assert plugin_info().capabilities(options).lets_all_in
    assert await auth(token=token).identify(Credentials()) == Identity("default")


async def test_a_placeholder_beside_real_tokens_lets_nobody_in() -> None:
    some = auth(token="your_secure_token_here", tokens={"kitchen": OTHER})

    assert await some.identify(Credentials("your_secure_token_here")) is None
    assert await some.identify(Credentials()) is None


def test_production_refuses_a_short_token_which_is_not_shown() -> None:
    with pytest.raises(ConfigError, match="fewer than 16 characters") as caught:
        auth(production=True, token="aB3dE5")

    assert "aB3dE5" not in str(caught.value)


def test_two_users_cannot_have_one_token() -> None:
    with pytest.raises(ConfigError, match="same token"):
        auth(tokens={"kitchen": TOKEN, "hall": TOKEN})


CONFIG = f"""
[server]
port = 0
[llm]
use = "echo"
[auth.devices]
use = "api_token"
options.tokens = {{ kitchen = "{TOKEN}" }}
[[transport]]
use = "relay_chat"
auth = "devices"
"""

FORM = {"message": "Hello", "type": "text", "sessionId": "s", "userId": "kitchen", "username": "Kitchen"}


@pytest.mark.parametrize("headers", [{"Authorization": f"Bearer {TOKEN}"}, {"X-API-Key": TOKEN}])
def test_a_door_opens_to_a_token_and_to_nothing_else(tmp_path: Path, headers: dict[str, str]) -> None:
    config = tmp_path / "jackfield.toml"
    config.write_text(CONFIG)
    with ServerProcess(tmp_path / "run", [str(config)], {}) as server:
        url = f"{server.url}/chat"
        let_in, refused = httpx.post(url, data=FORM, headers=headers), httpx.post(url, data=FORM)
        log = server.output()

    assert let_in.status_code == 200
    assert (refused.status_code, refused.json()["code"]) == (401, "not_authenticated")
    assert TOKEN not in log
