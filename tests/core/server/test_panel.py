"""What a door is given: identities and rate limits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fastapi import APIRouter, Request, WebSocket

from jackfield import Capabilities
from jackfield.contracts.auth import Auth, Credentials, Identity, UserId
from jackfield.contracts.panel import Panel
from jackfield.errors import ProtocolError, ProviderUnavailable
from tests.core.server.support import assembly, door, serving

pytestmark = pytest.mark.anyio


class Tokens:
    """Believes the bearer token `right`, or the cookie `session=right`."""

    async def identify(self, credentials: Credentials) -> Identity | None:
        if credentials.bearer == "down":
            raise ProviderUnavailable("secret-123")
        if credentials.bearer == "old":
            raise ProtocolError(401, "not_authenticated", "Token has expired.")
        if credentials.bearer == "right":
            return Identity("0xabc")
        return Identity("0xabc", by_cookie=True) if credentials.cookies.get("session") == "right" else None

    def same_subject(self, claimed: str, subject: str) -> bool:
        return claimed.lower() == subject


def who(router: APIRouter, panel: Panel) -> None:
    @router.get("/who")
    async def show(request: Request) -> str:
        await panel.limits.check_address(request)
        user = await panel.identify(request)
        await panel.limits.check_address(request)
        return str(user)

    @router.post("/change")
    async def change(request: Request) -> str:
        return str(await panel.identify(request))

    @router.get("/mine")
    async def mine(request: Request, claimed: str) -> bool:
        user = await panel.identify(request)
        return panel.is_user(claimed, user or panel.claimed(claimed))

    @router.get("/claimed")
    async def claimed() -> str:
        user = panel.claimed("0xabc")
        assert not user.authenticated
        return str(user)

    @router.websocket("/ws")
    async def ws(socket: WebSocket) -> None:
        user = await panel.identify(socket)
        await socket.accept(subprotocol="jackfield.bearer")
        await socket.send_text(str(user))
        await socket.close()


TOKENS: dict[str, Auth] = {"wallets": Tokens()}


@pytest.mark.parametrize("auth", [None, "tokens"])
async def test_a_door_is_told_whether_it_authenticates_and_the_address_of_the_server(
    auth: str | None,
) -> None:
    told: list[tuple[bool, str]] = []

    def note(_router: APIRouter, panel: Panel) -> None:
        told.append((panel.authenticates, panel.settings.public_url))

    config = {"server": {"public_url": "https://chat.example/"}, "auth": {"tokens": {"use": "trial"}}}
    async with serving(assembly(door(note, auth=auth), auths={"tokens": Tokens()}, config=config)):
        assert told == [(auth is not None, "https://chat.example")]


async def test_a_section_that_turns_nobody_away_does_not_authenticate() -> None:
    told: list[bool] = []
    asks = door(lambda _, panel: told.append(panel.authenticates), auth="wallets")
    found = assembly(asks, auths=TOKENS, config={"auth": {"wallets": {"use": "trial"}}})
    open_to_all = replace(found.auths["wallets"], capabilities=Capabilities(lets_all_in=True))
    async with serving(replace(found, auths={"wallets": open_to_all})):
        assert told == [False]


async def test_a_door_without_authentication_knows_nobody() -> None:
    async with serving(assembly(door(who))) as served:
        assert (await served.client.get("/who")).json() == "None"


async def test_credentials_are_taken_from_the_header_or_a_cookie() -> None:
    async with serving(assembly(door(who, auth="wallets"), auths=TOKENS)) as served:
        bearer = await served.client.get("/who", headers={"Authorization": "bearer right"})
        cookie = await served.client.get("/who", headers={"Cookie": "session=right"})
    assert bearer.json() == cookie.json() == str(UserId("wallets", "0xabc"))


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic right", "Bearer"])
async def test_a_refused_request_is_401_and_says_how_to_sign_in(header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    async with serving(assembly(door(who, auth="wallets"), auths=TOKENS)) as served:
        answer = await served.client.get("/who", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_nobody_is_let_in_while_the_section_cannot_tell() -> None:
    async with serving(assembly(door(who, auth="wallets"), auths=TOKENS)) as served:
        answer = await served.client.get("/who", headers={"Authorization": "Bearer down"})
    assert answer.status_code == 503
    assert "secret-123" not in answer.text


async def test_the_plugin_decides_whether_a_claimed_id_is_the_users() -> None:
    async with serving(assembly(door(who, auth="wallets"), auths=TOKENS)) as served:
        client = served.client
        client.headers["Authorization"] = "Bearer right"
        mine = await client.get("/mine", params={"claimed": "0xABC"})
        other = await client.get("/mine", params={"claimed": "0xdef"})
    assert (mine.json(), other.json()) == (True, False)


async def test_claimed_users_live_apart_by_mount() -> None:
    async with serving(assembly(door(who), door(who, mount="/pi", number=2))) as served:
        root = (await served.client.get("/claimed")).json()
        mounted = (await served.client.get("/pi/claimed")).json()
    assert (root, mounted) == ("claimed:/0xabc", "claimed:/pi/0xabc")


async def test_a_browser_may_bring_its_token_as_a_websocket_subprotocol() -> None:
    from websockets.asyncio.client import connect
    from websockets.typing import Subprotocol

    offered = [Subprotocol("jackfield.bearer"), Subprotocol("right")]
    async with serving(assembly(door(who, auth="wallets"), auths=TOKENS)) as served:
        url = f"ws://127.0.0.1:{served.port}/ws"
        async with connect(url, subprotocols=offered, proxy=None) as client:
            assert await client.recv() == "wallets/0xabc"


async def test_a_plugin_may_say_why_it_refuses_and_guessing_is_limited_all_the_same() -> None:
    async with serving(assembly(door(who, auth="wallets"), auths=TOKENS, config=LIMITED)) as served:
        headers = {"Authorization": "Bearer old"}
        answers = [await served.client.get("/mine?claimed=x", headers=headers) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]
    assert answers[0].json()["detail"] == "Token has expired."


COOKIE = {"Cookie": "session=right"}


@pytest.mark.parametrize(
    ("listed", "headers", "status"),
    [
        ([], {}, 403),
        ([], {"Origin": "http://127.0.0.1:{port}"}, 200),
        ([], {"Origin": "https://evil.example"}, 403),
        (["https://app.example"], {"Origin": "https://app.example"}, 200),
        (["https://app.example"], {"Origin": "https://evil.example"}, 403),
        (["*"], {"Origin": "https://evil.example"}, 403),
        ([], {"Origin": "https://evil.example", "Authorization": "Bearer right"}, 200),
    ],
    ids=["none", "own", "foreign", "listed", "unlisted", "any", "header"],
)
async def test_a_cookie_changes_something_only_from_a_page_that_is_welcome(
    listed: list[str], headers: dict[str, str], status: int
) -> None:
    parts = assembly(door(who, auth="wallets"), auths=TOKENS, config={"server": {"cors_origins": listed}})
    async with serving(parts) as served:
        sent = {name: value.format(port=served.port) for name, value in headers.items()}
        answer = await served.client.post("/change", headers=COOKIE | sent)
        read = await served.client.get("/who", headers=COOKIE)
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["code"] == "origin_not_allowed"
    assert read.status_code == 200


@pytest.mark.parametrize(("origin", "welcome"), [("http://127.0.0.1:{port}", True), (None, False)])
async def test_a_cookie_opens_a_websocket_only_from_a_page_that_is_welcome(
    origin: str | None, welcome: bool
) -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus
    from websockets.typing import Origin, Subprotocol

    offered = [Subprotocol("jackfield.bearer")]
    async with serving(assembly(door(who, auth="wallets"), auths=TOKENS)) as served:
        url = f"ws://127.0.0.1:{served.port}/ws"
        page = Origin(origin.format(port=served.port)) if origin else None
        if not welcome:
            with pytest.raises(InvalidStatus, match="403"):
                await connect(url, origin=page, additional_headers=COOKIE, proxy=None)
            return
        async with connect(
            url, origin=page, additional_headers=COOKIE, subprotocols=offered, proxy=None
        ) as client:
            assert await client.recv() == "wallets/0xabc"


LIMITED = {"limits": {"address_per_minute": 3}}


def guarded(router: APIRouter, panel: Panel) -> None:
    @router.websocket("/ws")
    async def ws(socket: WebSocket) -> None:
        panel.check_origin(socket)
        await socket.accept()
        await socket.send_text(panel.request_id(socket))
        await socket.close()


@pytest.mark.parametrize(
    ("listed", "origin", "welcome"),
    [
        ([], None, True),
        ([], "http://127.0.0.1:{port}", True),
        ([], "http://127.0.0.1:1", False),
        ([], "null", False),
        (["https://app.example"], "https://App.example", True),
        (["https://app.example"], "https://app.example.evil.example", False),
        (["https://app.example"], "https://evil.example", False),
        (["*"], "https://evil.example", True),
    ],
)
async def test_only_pages_of_listed_origins_and_its_own_may_open_a_websocket(
    listed: list[str], origin: str | None, welcome: bool
) -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus
    from websockets.typing import Origin

    async with serving(assembly(door(guarded), config={"server": {"cors_origins": listed}})) as served:
        url = f"ws://127.0.0.1:{served.port}/ws"
        page = Origin(origin.format(port=served.port)) if origin else None
        if not welcome:
            with pytest.raises(InvalidStatus, match="403"):
                await connect(url, origin=page, proxy=None)
            return
        async with connect(url, origin=page, proxy=None) as client:
            assert client.response is not None
            assert await client.recv() == client.response.headers["x-request-id"]


async def test_requests_beyond_the_rate_are_told_when_to_come_back() -> None:
    async with serving(assembly(door(who), config={"limits": {"address_per_minute": 4}})) as served:
        answers = [await served.client.get("/who") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]  # each asks twice
    assert answers[-1].json()["code"] == "rate_limited"
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 121


async def test_the_address_of_an_authenticated_user_is_not_counted() -> None:
    async with serving(assembly(door(who, auth="wallets"), auths=TOKENS, config=LIMITED)) as served:
        headers = {"Authorization": "Bearer right"}
        answers = [await served.client.get("/who", headers=headers) for _ in range(3)]
    # The route asks before it knows the user, and again afterwards.
    assert [answer.status_code for answer in answers] == [200, 200, 200]


async def test_guessing_tokens_is_limited_by_address() -> None:
    async with serving(assembly(door(who, auth="wallets"), auths=TOKENS, config=LIMITED)) as served:
        answers = [await served.client.get("/mine?claimed=x") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]


async def test_only_trusted_proxies_say_whose_request_it_is() -> None:
    async def statuses(trusted: list[str]) -> list[int]:
        config = {"limits": {"address_per_minute": 2}, "server": {"trusted_proxies": trusted}}
        async with serving(assembly(door(who), config=config)) as served:
            return [
                (await served.client.get("/who", headers={"X-Forwarded-For": f"203.0.113.{n}"})).status_code
                for n in range(2)
            ]

    assert await statuses(["127.0.0.1"]) == [200, 200]
    assert await statuses(["192.0.2.0/24"]) == [200, 429]
