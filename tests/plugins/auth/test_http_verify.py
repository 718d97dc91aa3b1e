"""A service that is asked about tokens: the promises of its kind, what it says, and when it says nothing."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from jackfield import Site
from jackfield.contracts.auth import Auth, Credentials, Identity
from jackfield.errors import (
    ProviderBadReply,
    ProviderError,
    ProviderRateLimited,
    ProviderTimedOut,
    ProviderUnavailable,
)
from jackfield.testing import AuthSuite
from jackfield_auth_http_verify import HttpVerifyOptions, make_auth, plugin_info
from jackfield_auth_http_verify.memory import Answers
from jackfield_auth_http_verify.service import HttpVerifyAuth
from tests.plugins.http_service import Asked, Handler, Reply, Service, serving

pytestmark = pytest.mark.anyio

TOKEN: Final = "good-token"


def always(status: int, body: object, **headers: str) -> Handler:
    async def answer(asked: Asked, reply: Reply) -> None:
        await reply.whole(status, body, **headers)

    return answer


async def knows_ann(asked: Asked, reply: Reply) -> None:
    if asked.headers.get("authorization") == f"Bearer {TOKEN}":
        await reply.whole(200, {"user_id": "ann", "name": "Ann"})
    else:
        await reply.whole(401, {"detail": "Who?"})


@asynccontextmanager
async def asking(
    handler: Handler = knows_ann, **options: Any
) -> AsyncIterator[tuple[HttpVerifyAuth, Service]]:
    async with serving(handler) as service:
        given = HttpVerifyOptions.model_validate({"url": f"{service.url}/whoami", **options})
        site = Site("auth.users", "http_verify", logging.getLogger("test"))
        async with make_auth(given, site) as auth:
            yield auth, service


class TestConformance(AuthSuite):
    subject = "ann"

    @pytest.fixture
    async def auth(self) -> AsyncIterator[Auth]:
        async with asking() as (auth, _):
            yield auth

    @pytest.fixture
    def credentials(self) -> Credentials:
        return Credentials(TOKEN)


async def test_the_service_is_sent_the_token_and_says_who_it_is() -> None:
    async with asking(extra_headers={"X-Key": "mine"}) as (auth, service):
        assert await auth.identify(Credentials(TOKEN)) == Identity("ann", "Ann")
    (asked,) = service.asked
    assert (asked.method, asked.path) == ("GET", "/whoami")
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"
    assert asked.headers["x-key"] == "mine"


async def test_it_is_asked_once_for_a_token_that_is_remembered() -> None:
    async with asking() as (auth, service):
        for token in (TOKEN, "wrong", TOKEN, "wrong"):
            await auth.identify(Credentials(token))
    assert len(service.asked) == 2


async def test_it_is_asked_each_time_when_nothing_is_to_be_remembered() -> None:
    async with asking(cache_s=0) as (auth, service):
        for _ in range(3):
            assert await auth.identify(Credentials(TOKEN))
    assert len(service.asked) == 3


async def test_what_cannot_be_a_token_is_not_asked_about() -> None:
    async with asking() as (auth, service):
        for token in (None, "", "a b", "ü", "a\r\nX: y", "x" * 10_000):
            assert await auth.identify(Credentials(token)) is None
    assert service.asked == []


@pytest.mark.parametrize("status", [401, 403])
async def test_a_token_that_is_not_good_is_refused(status: int) -> None:
    async with asking(always(status, {})) as (auth, _):
        assert await auth.identify(Credentials(TOKEN)) is None


@pytest.mark.parametrize(
    ("body", "options", "identity"),
    [
        ({"user_id": 12345}, {}, Identity("12345")),
        ({"address": "0xAbC"}, {"subject_field": "address", "ignore_case": True}, Identity("0xabc")),
        ({"user_id": "Ann", "nick": "A"}, {"name_field": "nick"}, Identity("Ann", "A")),
        ({"user_id": "ann", "name": 7}, {}, Identity("ann")),
    ],
)
async def test_the_answer_may_have_other_names(
    body: object, options: dict[str, Any], identity: Identity
) -> None:
    async with asking(always(200, body), **options) as (auth, _):
        assert await auth.identify(Credentials(TOKEN)) == identity


async def test_ids_are_compared_as_the_options_say() -> None:
    async with asking(ignore_case=True) as (auth, _):
        assert auth.same_subject("ANN", "ann")
    async with asking() as (auth, _):
        assert not auth.same_subject("ANN", "ann")


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"user_id": None},
        {"user_id": ""},
        {"user_id": True},
        {"user_id": ["ann"]},
        {"user_id": "a\nb"},
        {"user_id": "x" * 129},
        {"user_id": "\ud800"},
        b"ann",
        b"[" * 60_000,
        b" " * 70_000,
    ],
    ids=["none", "list", "null", "empty", "true", "names", "line", "long", "half", "text", "deep", "large"],
)
async def test_an_answer_that_names_nobody_lets_nobody_in(body: object) -> None:
    async with asking(always(200, body)) as (auth, _):
        with pytest.raises(ProviderBadReply):
            await auth.identify(Credentials(TOKEN))


@pytest.mark.parametrize(
    ("status", "category"),
    [(500, ProviderUnavailable), (429, ProviderRateLimited), (404, ProviderError)],
)
async def test_a_failing_service_lets_nobody_in_and_is_asked_again(
    status: int, category: type[ProviderError]
) -> None:
    async with asking(always(status, {})) as (auth, service):
        for _ in range(2):
            with pytest.raises(category) as caught:
                await auth.identify(Credentials(TOKEN))
            assert TOKEN not in str(caught.value)
        assert len(service.asked) == 2
        service.handler = knows_ann
        assert await auth.identify(Credentials(TOKEN))


async def test_a_token_is_not_carried_on_to_another_address() -> None:
    async def moved(asked: Asked, reply: Reply) -> None:
        if asked.path == "/whoami":
            await reply.whole(302, {}, location="/elsewhere")
        else:
            await reply.whole(200, {"user_id": "ann"})

    async with asking(moved) as (auth, service):
        with pytest.raises(ProviderError):
            await auth.identify(Credentials(TOKEN))
    assert [asked.path for asked in service.asked] == ["/whoami"]


async def test_a_service_that_does_not_answer_in_time_lets_nobody_in() -> None:
    async def silent(asked: Asked, reply: Reply) -> None:
        await reply.until_left()

    async with asking(silent, time_limit_s=0.1) as (auth, _):
        with pytest.raises(ProviderTimedOut, match=r"within 0\.1 s"):
            await auth.identify(Credentials(TOKEN))


async def test_a_service_that_is_away_lets_nobody_in_who_is_not_remembered() -> None:
    async with asking() as (auth, service):
        assert await auth.identify(Credentials(TOKEN))

        async def cut(asked: Asked, reply: Reply) -> None:
            await reply.cut()

        service.handler = cut
        assert await auth.identify(Credentials(TOKEN)) == Identity("ann", "Ann")
        with pytest.raises(ProviderUnavailable):
            await auth.identify(Credentials("another"))


async def test_users_share_no_cookies() -> None:
    async with asking(always(200, {"user_id": "ann"}, set_cookie="session=ann"), cache_s=0) as (
        auth,
        service,
    ):
        for _ in range(2):
            await auth.identify(Credentials(TOKEN))
    assert "cookie" not in service.asked[1].headers


def test_what_is_remembered_expires_and_is_bounded() -> None:
    now = 0.0
    answers = Answers(ttl_s=10, most=2, clock=lambda: now)
    for token in ("a", "b", "c"):
        answers.put(token, Identity(token))

    assert len(answers) == 2
    assert answers.get("a") == (False, None)
    assert answers.get("c") == (True, Identity("c"))
    now = 10.0
    assert answers.get("c") == (False, None)
    assert len(answers) == 1


@pytest.mark.parametrize(("url", "network"), [("http://127.0.0.1:1/", False), ("https://example.org/", True)])
def test_whether_it_needs_the_network_is_known_before(url: str, network: bool) -> None:
    options = HttpVerifyOptions.model_validate({"url": url})
    assert plugin_info().capabilities(options).network is network


def test_production_is_warned_of_tokens_in_the_clear(caplog: pytest.LogCaptureFixture) -> None:
    options = HttpVerifyOptions.model_validate({"url": "http://accounts.example.org/whoami"})
    make_auth(options, Site("auth.users", "http_verify", logging.getLogger("test"), production=True))
    assert "without TLS" in caplog.text
