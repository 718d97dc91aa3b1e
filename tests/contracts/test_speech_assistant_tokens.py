"""speech-assistant, section 3: whom a token lets in, in a header, a subprotocol or a cookie."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import jwt
import pytest

from tests.contracts.harness import ServerFactory, Tree, TrialServer, refusal
from tests.contracts.sign_in import (
    CHEAP,
    KEY,
    PASSWORD,
    accounts,
    bearer,
    chat_as,
    log_in,
    outcome,
    register,
    signed_in,
    voice_socket,
)

PAGE: Final = "http://localhost:3000"


@pytest.mark.contract("SA-03")
def test_the_account_of_a_token_is_shown(people: TrialServer, ann: tuple[str, dict[str, str]]) -> None:
    user, headers = ann
    response = people.client.get("/users/me", headers=headers)

    assert response.status_code == 200
    assert set(response.json()) == {"id", "email", "created_at"}
    assert (response.json()["id"], response.json()["email"]) == (user, "ann@example.com")


def claims(user: str, **changes: Any) -> Tree:
    now = int(time.time())
    found = {"sub": user, "iat": now, "exp": now + 60, "jti": "x", **changes}
    return {name: value for name, value in found.items() if value is not None}


@pytest.mark.contract("SA-05")
def test_a_token_is_a_jwt_signed_with_the_secret_key(
    people: TrialServer, ann: tuple[str, dict[str, str]]
) -> None:
    token = log_in(people).json()["access_token"]
    found = jwt.decode(token, KEY, algorithms=["HS256"])

    assert jwt.get_unverified_header(token)["alg"] == "HS256"
    assert set(found) == {"sub", "iat", "exp", "jti"}
    assert found["sub"] == ann[0]
    assert found["exp"] - found["iat"] == 1800


@pytest.mark.contract("SA-03", "SA-05")
def test_a_token_that_was_not_issued_here_opens_no_door(
    people: TrialServer, ann: tuple[str, dict[str, str]]
) -> None:
    user, headers = ann
    good = headers["Authorization"].removeprefix("Bearer ")
    forged = [
        jwt.encode(claims(user), "", algorithm="none"),
        jwt.encode(claims(user), KEY[::-1], algorithm="HS256"),
        jwt.encode(claims(user), KEY * 2, algorithm="HS512"),
        jwt.encode(claims(user, exp=None), KEY, algorithm="HS256"),
        jwt.encode(claims(user, sub=None), KEY, algorithm="HS256"),
        jwt.encode(claims("nobody"), KEY, algorithm="HS256"),
        good[:-5] + ("AAAAA" if not good.endswith("AAAAA") else "BBBBB"),
        "a.b.c",
    ]
    assert chat_as(people, user, bearer(jwt.encode(claims(user), KEY, algorithm="HS256"))).status_code == 200
    for token in forged:
        for response in (
            chat_as(people, user, bearer(token)),
            people.client.get("/users/me", headers=bearer(token)),
        ):
            refusal(response, 401, "not_authenticated")
            assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.contract("SA-46")
def test_an_expired_token_is_told_so(people: TrialServer, ann: tuple[str, dict[str, str]]) -> None:
    old = jwt.encode(claims(ann[0], exp=int(time.time()) - 1), KEY, algorithm="HS256")
    for response in (
        chat_as(people, ann[0], bearer(old)),
        people.client.get("/users/me", headers=bearer(old)),
    ):
        assert refusal(response, 401, "not_authenticated")["detail"] == "Token has expired."
        assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.contract("SA-32")
def test_nobody_reaches_the_model_without_a_token(
    people: TrialServer, ann: tuple[str, dict[str, str]]
) -> None:
    with people.noting("llm") as asked:
        refusal(chat_as(people, ann[0]), 401, "not_authenticated")
        refusal(chat_as(people, "somebody-else", ann[1]), 403, "user_mismatch")
    assert asked == []


def test_two_doors_of_one_section_know_the_same_users(
    people: TrialServer, ann: tuple[str, dict[str, str]]
) -> None:
    form = {"username": "ann@example.com", "password": PASSWORD}
    elsewhere = people.client.post("/two/token", data=form).raise_for_status().json()["access_token"]

    assert chat_as(people, ann[0], bearer(elsewhere)).status_code == 200
    assert chat_as(people, ann[0], ann[1], "/two/chat").status_code == 200
    assert people.client.get("/two/users/me", headers=ann[1]).json()["id"] == ann[0]


@pytest.mark.contract("SA-32")
def test_a_browser_brings_its_token_to_a_socket_as_a_subprotocol(
    people: TrialServer, ann: tuple[str, dict[str, str]]
) -> None:
    token = ann[1]["Authorization"].removeprefix("Bearer ")
    with voice_socket(people, token=token) as socket:
        assert socket.subprotocol == "jackfield.bearer"
        assert outcome(socket) == "open"
    for wrong in ("a.b.c", jwt.encode(claims(ann[0], exp=1), KEY, algorithm="HS256")):
        with voice_socket(people, token=wrong) as socket:
            assert outcome(socket) == 4401


@pytest.mark.contract("SA-04")
def test_no_password_and_no_token_is_logged(people: TrialServer, ann: tuple[str, dict[str, str]]) -> None:
    log_in(people, "ann@example.com", "a-password-to-look-for")
    register(people, "log@example.com", "another-to-look-for")
    log = people.output()

    for secret in ("to-look-for", PASSWORD, "ann@example.com", ann[1]["Authorization"][-30:], KEY):
        assert secret not in log


@pytest.fixture(scope="module")
def cookies(start: ServerFactory) -> TrialServer:
    """A server that sets its tokens as cookies too."""
    return start("cookies", {**accounts(cookie=True), "server": {"cors_origins": [PAGE]}})


@pytest.mark.contract("SA-30")
def test_the_token_is_a_cookie_that_scripts_cannot_read(cookies: TrialServer) -> None:
    register(cookies)
    response = log_in(cookies)
    cookies.client.cookies.clear()
    name, *attributes = response.headers["set-cookie"].split("; ")

    assert name == f"access_token={response.json()['access_token']}"
    assert {part.lower() for part in attributes} == {
        "httponly",
        "secure",
        "samesite=lax",
        "path=/",
        "max-age=1800",
    }


@pytest.mark.contract("SA-30")
def test_a_cookie_is_believed_and_changes_something_only_from_a_listed_page(cookies: TrialServer) -> None:
    user, headers = signed_in(cookies, "cookie@example.com")
    cookies.client.cookies.clear()
    cookie = {"Cookie": f"access_token={headers['Authorization'].removeprefix('Bearer ')}"}

    assert cookies.client.get("/users/me", headers=cookie).json()["id"] == user
    assert chat_as(cookies, user, cookie | {"Origin": PAGE}).status_code == 200
    assert chat_as(cookies, user, headers).status_code == 200  # no cookie, no page needed
    for origin in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        refusal(chat_as(cookies, user, cookie | origin), 403, "origin_not_allowed")
    with voice_socket(cookies, headers=cookie, origin=PAGE) as socket:
        assert outcome(socket) == "open"
    with voice_socket(cookies, headers=cookie) as socket:
        assert outcome(socket) == 4403


@pytest.mark.contract("SA-30")
def test_a_foreign_page_signs_nobody_in(cookies: TrialServer) -> None:
    register(cookies, "page@example.com")
    form = {"username": "page@example.com", "password": PASSWORD}
    response = cookies.client.post("/token", data=form, headers={"Origin": "https://evil.example"})

    refusal(response, 403, "origin_not_allowed")
    assert "set-cookie" not in response.headers


@pytest.mark.contract("SA-30")
def test_who_signs_out_gives_the_cookie_back(cookies: TrialServer) -> None:
    register(cookies, "leaving@example.com")
    log_in(cookies, "leaving@example.com")
    cookies.client.cookies.clear()
    response = cookies.client.post("/logout", headers={"Origin": PAGE})
    name, *attributes = response.headers["set-cookie"].split("; ")

    assert (response.status_code, name) == (204, 'access_token=""')
    assert {"Max-Age=0", "Path=/", "HttpOnly", "Secure"} <= set(attributes)
    foreign = cookies.client.post("/logout", headers={"Origin": "https://evil.example"})
    refusal(foreign, 403, "origin_not_allowed")


@pytest.mark.contract("SA-30")
def test_where_there_is_no_cookie_nobody_can_sign_out(people: TrialServer) -> None:
    assert people.client.post("/logout").status_code == 404


@pytest.mark.contract("SA-30")
def test_without_the_option_a_cookie_proves_nothing(
    people: TrialServer, ann: tuple[str, dict[str, str]]
) -> None:
    cookie = {"Cookie": f"access_token={ann[1]['Authorization'].removeprefix('Bearer ')}"}
    refusal(people.client.get("/users/me", headers=cookie), 401, "not_authenticated")


@pytest.mark.contract("SA-05")
@pytest.mark.parametrize("key", ["your_secret_key", "Zk3p_0dL9vQ2xW7zTtbF8sN1cRq5Hm6"])
def test_a_placeholder_and_a_short_key_stop_the_start(tmp_path: Path, key: str) -> None:
    server = TrialServer(tmp_path / "server", accounts(secret_key=key), {"ENVIRONMENT": "production"})
    with pytest.raises(RuntimeError, match=r"auth\.people\.options\.secret_key") as caught, server:
        pass
    assert "token_urlsafe" in str(caught.value)
    assert key not in str(caught.value).replace(str(tmp_path), "")


def test_two_sections_have_accounts_of_their_own(start: ServerFactory) -> None:
    section = {"use": "accounts", "options": {"secret_key": KEY, **CHEAP}}
    server = start(
        "sections",
        {
            **accounts(),
            "auth": {"people": section, "staff": section},
            "transport": [
                {"use": "relay_chat", "auth": "people"},
                {"use": "relay_chat", "mount": "/staff", "auth": "staff"},
            ],
        },
    )
    user, headers = signed_in(server, "ann@example.com")

    refusal(server.client.get("/staff/users/me", headers=headers), 401, "not_authenticated")
    refusal(chat_as(server, user, headers, "/staff/chat"), 401, "not_authenticated")
    body = {"email": "ann@example.com", "password": PASSWORD}
    assert server.client.post("/staff/register", json=body).status_code == 201
