"""The console where something stands in the way: nobody is signed in, the server refuses or is gone."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, expect

from tests.contracts.harness import Tree, TrialServer
from tests.contracts.sign_in import PASSWORD, log_in
from tests.contracts.speech import speaking
from tests.transports.console import (
    CHROMIUM,
    ELSEWHERE,
    begun,
    call,
    chromium,
    say,
    serious,
    sign_up,
    visiting,
)

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(CHROMIUM is None, reason="apt-get install chromium"),
]
TOKEN: Final = "the-token-of-the-only-device-here"
INTERRUPTED: Final = "The connection is interrupted"


def console(*, cookie: bool = False) -> Tree:
    """A configuration with two consoles: one for people with accounts, one for devices with tokens."""
    config = speaking()
    people = {**config["auth"]["people"]}
    people["options"] = {**people["options"], "cookie": cookie}
    devices = {"chat": "/device", "speech": "/nowhere"}
    doors: list[Tree] = [
        {"use": "relay_chat", "auth": "people"},
        {"use": "console", "mount": "/console", "auth": "people"},
        {"use": "relay_chat", "mount": "/device", "auth": "devices"},
        {"use": "console", "mount": "/device/console", "auth": "devices", "options": devices},
    ]
    auth = {"people": people, "devices": {"use": "api_token", "options": {"tokens": {"hall": TOKEN}}}}
    return {**config, "auth": auth, "transport": [*config["transport"], *doors]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrialServer]:
    with TrialServer(tmp_path_factory.mktemp("server"), console(cookie=True)) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def test_a_page_over_plain_http_says_how_to_get_a_microphone(browser: Browser, server: TrialServer) -> None:
    far = server.url.replace("127.0.0.1", ELSEWHERE)
    with visiting(browser, f"{far}/console/") as page:
        notice = page.get_by_role("note")
        for word in ("https", "localhost", "tls_cert", "tls_key"):
            expect(notice).to_contain_text(word)
        sign_up(page)
        expect(page.get_by_role("button", name="Record")).to_be_hidden()
        expect(page.get_by_text("Press Call, or type.")).to_be_visible()
        call(page)
        expect(page.locator("#state")).to_have_text("In a call, without a microphone")
        say(page, "Hello")
        expect(page.locator("#log .assistant").last).to_contain_text("You said: Hello")
        assert serious(page) == []


def test_who_has_a_token_signs_in_with_it(browser: Browser, server: TrialServer) -> None:
    with visiting(browser, f"{server.url}/device/console/") as page:
        page.get_by_label("Access token").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("does not take this token")
        page.get_by_label("Access token").fill(TOKEN)
        page.keyboard.press("Enter")
        say(page, "Hello")
        expect(page.locator("#log .assistant").last).to_contain_text("You said: Hello")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Access token")).to_be_focused()
        expect(page.locator("#log li")).to_have_count(0)
        assert page.evaluate("localStorage.length + sessionStorage.length") == 0


def test_who_signs_in_with_a_password_is_known_by_a_cookie_until_they_sign_out(
    browser: Browser, server: TrialServer
) -> None:
    with visiting(browser, f"{server.url}/console/") as page:
        page.get_by_label("E-mail address").fill("nobody@example.com")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("password is not right")
        email = sign_up(page)
        page.reload()
        say(page, "Hello")
        expect(page.locator("#log .assistant").last).to_contain_text("You said: Hello")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("E-mail address")).to_be_focused()
        page.reload()
        expect(page.get_by_label("E-mail address")).to_be_focused()
        assert log_in(server, email, PASSWORD).status_code == 200


def test_what_the_server_refuses_is_told_and_can_be_tried_again(
    browser: Browser, server: TrialServer
) -> None:
    with visiting(browser, f"{server.url}/console/") as page:
        sign_up(page)
        page.route(
            "**/realtime/session",
            lambda route: route.fulfill(
                status=429,
                headers={"Retry-After": "7"},
                json={"code": "rate_limited", "detail": "Too many requests."},
            ),
            times=1,
        )
        page.get_by_role("button", name="Call", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("Try again in 7 seconds.")
        expect(page.get_by_role("button", name="Call", exact=True)).to_be_enabled()
        page.get_by_role("button", name="Try again").click()
        begun(page)


def test_who_has_as_many_calls_as_they_may_is_told_where_to_look(
    browser: Browser, server: TrialServer
) -> None:
    with visiting(browser, f"{server.url}/console/") as page:
        sign_up(page)
        refusal = {"code": "too_many_sessions", "detail": "One user may have 3 sessions."}
        page.route("**/realtime/session", lambda route: route.fulfill(status=429, json=refusal))
        page.get_by_role("button", name="Call", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("perhaps in another tab")


def test_who_loses_the_server_in_a_call_is_told_and_may_call_again(browser: Browser, tmp_path: Path) -> None:
    with (
        TrialServer(tmp_path, console()) as server,
        visiting(browser, f"{server.url}/console/") as page,
    ):
        sign_up(page)
        call(page)
        os.kill(server.pid, signal.SIGKILL)
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("The connection was lost.")
        assert INTERRUPTED not in page.locator("#spoken").inner_text(), "the browser knew before the page"
        expect(page.locator("#state")).to_have_text("Ready")
        page.get_by_role("button", name="Call again").click()
        expect(alert).to_contain_text("cannot be reached")
        expect(page.get_by_role("button", name="Call", exact=True)).to_be_enabled()
        say(page, "Are you there?")
        expect(page.locator("#log .user .label")).to_have_text("not answered")
        expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_who_loses_a_server_that_is_behind_a_proxy_is_told_as_soon(browser: Browser, tmp_path: Path) -> None:
    with (
        TrialServer(tmp_path, console()) as server,
        visiting(browser, f"{server.url}/console/") as page,
    ):
        sign_up(page)
        call(page)
        page.route("**/health", lambda route: route.fulfill(status=503, json={"code": "unavailable"}))
        page.route("**/health", lambda route: route.fulfill(status=502, body="<h1>Bad Gateway</h1>"), times=1)
        os.kill(server.pid, signal.SIGKILL)
        expect(page.get_by_role("alert")).to_contain_text("The connection was lost.")
        assert INTERRUPTED not in page.locator("#spoken").inner_text(), "the browser knew before the page"


def test_a_call_whose_server_is_slow_for_some_seconds_goes_on(browser: Browser, server: TrialServer) -> None:
    with visiting(browser, f"{server.url}/console/") as page:
        sign_up(page)
        call(page)
        unhealthy = {"status": "unhealthy"}  # as it says while its store is out of reach
        page.route("**/health", lambda route: route.fulfill(status=503, json=unhealthy), times=2)
        os.kill(server.pid, signal.SIGSTOP)
        try:
            expect(page.locator("#spoken")).to_contain_text(INTERRUPTED)
        finally:
            os.kill(server.pid, signal.SIGCONT)
        say(page, "Are you there?")
        expect(page.locator("#log .assistant").last).to_contain_text("Are you there?")
        expect(page.get_by_role("alert")).to_be_hidden()
