"""Accounts: the promises of their kind, hashing, counting, and what stops the start."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final

import anyio
import pytest

from jackfield import ConfigError, ProtocolError, Site
from jackfield.contracts.auth import Auth, Credentials, Identity
from jackfield.contracts.panel import Panel
from jackfield.contracts.session import Shared, User
from jackfield.errors import StoreUnavailable
from jackfield.testing import AuthSuite
from jackfield.tokens import Tokens
from jackfield_auth_accounts import AccountsOptions, make_auth, plugin_info
from jackfield_auth_accounts.accounts import AccountsAuth
from jackfield_auth_accounts.passwords import Passwords
from jackfield_auth_accounts.throttle import Throttle
from tests.plugins.auth.panels import panel_over_memory

pytestmark = pytest.mark.anyio

KEY: Final = "Zk3p_0dL9vQ2xW7zTtbF8sN1cRq5Hm6JgKe4"
CHEAP: Final = {"hash_memory_kib": 8192, "hash_rounds": 1, "hash_lanes": 1}
TOKENS: Final = Tokens(KEY.encode(), ttl_s=60)


def made(**options: Any) -> AccountsAuth:
    site = Site("auth.people", "accounts", logging.getLogger("test"))
    return make_auth(AccountsOptions.model_validate({"secret_key": KEY, **CHEAP, **options}), site)


def opened(auth: Auth) -> Panel:
    """Give a plugin its panel, as a server does before anything else."""
    panel = panel_over_memory("people", auth)
    assert isinstance(auth, AccountsAuth)
    auth.routes(panel)
    return panel


async def with_ann(auth: Auth, *, disabled: bool = False) -> Auth:
    panel = opened(auth)
    assert panel.sessions.records is not None
    ann = User("people/ann", "people/ann@example.com", datetime.now(UTC), disabled=disabled)
    await panel.sessions.records.add_user(ann)
    return auth


class TestConformance(AuthSuite):
    subject = "ann"

    @pytest.fixture
    async def auth(self) -> AsyncIterator[Auth]:
        async with made() as auth:
            yield await with_ann(auth)

    @pytest.fixture
    def credentials(self) -> Credentials:
        return Credentials(TOKENS.issue("ann"))


async def test_it_needs_accounts_and_counters() -> None:
    options = AccountsOptions.model_validate({"secret_key": KEY})
    assert plugin_info().capabilities(options).roles == ("records", "shared")


async def test_a_cookie_counts_only_where_it_is_switched_on_and_is_told_apart() -> None:
    cookies = {"access_token": TOKENS.issue("ann")}
    without, with_cookies = await with_ann(made()), await with_ann(made(cookie=True))

    assert await without.identify(Credentials(cookies=cookies)) is None
    by_cookie = await with_cookies.identify(Credentials(cookies=cookies))
    assert by_cookie == Identity("ann", "ann@example.com", by_cookie=True)
    by_header = await with_cookies.identify(Credentials(cookies["access_token"], cookies=cookies))
    assert by_header == Identity("ann", "ann@example.com")
    assert await with_cookies.identify(Credentials("wrong", cookies=cookies)) is None


@pytest.mark.contract("SA-36")
async def test_an_account_that_is_disabled_or_gone_is_refused() -> None:
    disabled = await with_ann(made(), disabled=True)

    assert await disabled.identify(Credentials(TOKENS.issue("ann"))) is None
    assert await disabled.identify(Credentials(TOKENS.issue("bob"))) is None


async def test_nobody_is_let_in_while_the_accounts_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(user_id: str) -> None:
        raise StoreUnavailable("down")

    auth = made()
    monkeypatch.setattr(opened(auth).sessions.records, "user", fail)
    with pytest.raises(StoreUnavailable):
        await auth.identify(Credentials(TOKENS.issue("ann")))


@pytest.mark.contract("SA-36")
async def test_a_password_is_hashed_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: set[int] = set()
    async with Passwords(memory_kib=8192, rounds=1, lanes=1, workers=1) as passwords:
        verify = passwords._hasher.verify

        def noted(password: str, stored: str) -> bool:
            threads.add(threading.get_ident())
            return verify(password, stored)

        monkeypatch.setattr(passwords._hasher, "verify", noted)
        stored = await passwords.hash("correct horse")
        assert stored.startswith("$argon2id$v=19$m=8192,t=1,p=1$")
        assert await passwords.verify("correct horse", stored)
        assert not await passwords.verify("wrong horse", stored)
    assert threads
    assert threading.get_ident() not in threads


async def test_an_unknown_user_costs_a_verification_of_the_same_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    costs: list[str] = []
    async with Passwords(memory_kib=8192, rounds=1, lanes=1, workers=1) as passwords:
        verify = passwords._hasher.verify

        def noted(password: str, stored: str) -> bool:
            costs.append(stored[:30])
            return verify(password, stored)

        monkeypatch.setattr(passwords._hasher, "verify", noted)
        stored = await passwords.hash("correct horse")
        await passwords.verify("wrong horse", stored)
        assert not await passwords.verify("wrong horse", None)
    assert costs[0] == costs[1]
    assert len(costs) == 2


async def test_a_hash_of_another_kind_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    async with Passwords(memory_kib=8192, rounds=1, lanes=1, workers=1) as passwords:
        assert not await passwords.verify("secret", "$2b$12$abcdefghijklmnopqrstuv")
    assert "not Argon2's" in caplog.text


def shared() -> Shared:
    found = opened(made()).sessions.shared
    assert found is not None
    return found


async def test_attempts_at_the_same_time_are_counted_before_their_outcome_is_known() -> None:
    throttle = Throttle(shared(), "t", most=3, window_s=60)
    outcomes: list[bool] = []

    async def attempt() -> None:
        try:
            await throttle.add("ann")
        except ProtocolError:
            outcomes.append(False)
        else:
            outcomes.append(True)

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(attempt)
    assert sorted(outcomes) == [False] * 7 + [True] * 3


async def test_counts_are_shared_by_servers_and_kept_apart_by_name() -> None:
    store = shared()
    here, there = (Throttle(store, "t", most=1, window_s=60) for _ in range(2))
    await here.add("ann")

    with pytest.raises(ProtocolError, match="429") as caught:
        await there.check("ann")
    assert 1 <= int(caught.value.headers["Retry-After"]) <= 60
    await there.check("bob")
    await there.take_back("ann")
    await here.check("ann")


@pytest.mark.parametrize(
    ("key", "reason"), [("", "placeholder"), ("your_secret_key", "placeholder"), (KEY[:31], "31 bytes")]
)
def test_a_key_that_can_be_guessed_stops_the_start(key: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=rf"\[auth.people.options.secret_key\].*{reason}") as caught:
        made(secret_key=key)
    assert KEY[:31] not in str(caught.value)
