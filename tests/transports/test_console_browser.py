"""The console in a real browser, against a server in a process of its own: accounts, calls, messages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it has no types
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.contracts.harness import Tree, TrialServer
from tests.contracts.sign_in import PASSWORD, log_in
from tests.contracts.speech import speaking

ROOT: Final = Path(__file__).parents[2]
VOICE: Final = ROOT / "examples" / "question.wav"
CHROMIUM: Final = shutil.which("chromium")
SAID: Final = "Will it rain tomorrow?"
_PEOPLE: Final = count()
_LOUDNESS: Final = """async () => {
    const context = new AudioContext();
    const meter = context.createAnalyser();
    context.createMediaStreamSource(document.getElementById("voice").srcObject).connect(meter);
    const samples = new Uint8Array(meter.fftSize);
    for (;;) {
        meter.getByteTimeDomainData(samples);
        if (Math.max(...samples) > 140) return true;
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
}"""
"""Waits until the remote stream is no silence."""

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(CHROMIUM is None, reason="apt-get install chromium"),
]


def console(**options: object) -> Tree:
    """A configuration: the console beside the doors that it talks with."""
    config = speaking()
    doors = [{"use": "relay_chat", "auth": "people", "options": {"include_transcript": True}}]
    doors.append({"use": "console", "mount": "/console", "auth": "people", "options": options})
    return {**config, "transport": [*config["transport"], *doors]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrialServer]:
    with TrialServer(tmp_path_factory.mktemp("server"), console()) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-audio-capture={VOICE}%noloop",
            ],
        )
        yield browser
        browser.close()


class Visit:
    """A page, and what went wrong in it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.faults: list[str] = []
        self.foreign: list[str] = []
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda said: self.faults.append(said.text) if "Policy" in said.text else None)
        page.on(
            "request", lambda asked: None if asked.url.startswith(url) else self.foreign.append(asked.url)
        )
        page.goto(f"{url}/console")


@contextmanager
def visit(context: BrowserContext, server: TrialServer) -> Iterator[Page]:
    """Open the page; afterwards nothing was refused by its policy or fetched from elsewhere."""
    visit = Visit(context.new_page(), server.url)
    yield visit.page
    assert visit.faults == []
    assert [url for url in visit.foreign if not url.startswith("blob:")] == []


@pytest.fixture
def context(browser: Browser, server: TrialServer) -> Iterator[BrowserContext]:
    context = browser.new_context()
    context.set_default_timeout(8_000)
    yield context
    context.close()


def sign_up(page: Page) -> str:
    """Open an account and sign in."""
    email = f"visitor{next(_PEOPLE)}@example.com"
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_role("button", name="Call")).to_be_visible()
    return email


def call(page: Page) -> None:
    page.get_by_role("button", name="Call", exact=True).click()
    expect(page.locator("#state")).not_to_have_text("Connecting")


def test_who_speaks_into_the_microphone_reads_and_hears_the_answer(
    context: BrowserContext, server: TrialServer
) -> None:
    with visit(context, server) as page:
        sign_up(page)
        call(page)
        expect(page.locator("#log .user").first).to_contain_text(SAID)
        page.evaluate(_LOUDNESS)
        expect(page.locator("#log .assistant").first).to_contain_text(f"You said: {SAID}")
        expect(page.locator("#waterfall")).to_contain_text("First sound")
        page.get_by_role("button", name="Hang up").click()
        expect(page.locator("#state")).to_have_text("Ready")


def test_an_answer_is_interrupted_and_the_scenario_switched(
    context: BrowserContext, server: TrialServer
) -> None:
    with visit(context, server) as page:
        sign_up(page)
        call(page)
        page.get_by_label("Message", exact=True).fill("a long message, " * 20)
        page.get_by_role("button", name="Send", exact=True).click()
        page.evaluate(_LOUDNESS)
        page.get_by_role("button", name="Interrupt").click()
        expect(page.locator("#log .assistant .label").last).to_have_text("interrupted")
        page.get_by_label("Scenario").select_option("quiz_night")
        expect(page.locator("#log .note").last).to_contain_text("Quiz night")
        page.get_by_role("button", name="Hang up").click()
        expect(page.locator("#log .note").last).to_have_text("The call is over.")


def test_messages_and_recordings_go_through_the_form_outside_of_calls(
    context: BrowserContext, server: TrialServer
) -> None:
    with visit(context, server) as page:
        sign_up(page)
        page.get_by_label("Message", exact=True).fill("Hello")
        page.keyboard.press("Enter")
        expect(page.locator("#log .assistant").last).to_contain_text("You said: Hello")
        page.get_by_role("button", name="Record").click()
        expect(page.locator("#state")).to_have_text("Recording")
        page.wait_for_timeout(800)
        page.get_by_role("button", name="Send the recording").click()
        expect(page.locator("#log .user").last).to_contain_text(SAID)
        expect(page.get_by_label("Spoken answer")).to_be_visible()


def test_a_wrong_password_and_a_refused_microphone_are_told(
    browser: Browser, context: BrowserContext, server: TrialServer
) -> None:
    with visit(context, server) as page:
        page.get_by_label("E-mail address").fill("nobody@example.com")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("password")
        email = sign_up(page)
        assert log_in(server, email).status_code == 200
        page.evaluate(
            "() => { navigator.mediaDevices.getUserMedia ="
            " () => Promise.reject(new DOMException('', 'NotAllowedError')) }"
        )
        page.get_by_role("button", name="Call", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("not allowed to use the microphone")
        page.get_by_role("button", name="Call without a microphone").click()
        expect(page.locator("#state")).to_have_text("In a call, without a microphone")
        assert page.evaluate("localStorage.length + sessionStorage.length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280], ids=["phone", "desk"])
def test_people_who_cannot_see_or_point_can_use_it(
    browser: Browser, server: TrialServer, width: int, scheme: str, tmp_path: Path
) -> None:
    shots = Path(os.environ.get("CONSOLE_SHOTS", tmp_path))
    options = {"viewport": {"width": width, "height": 844}, "color_scheme": scheme}
    context = browser.new_context(**options)  # type: ignore[arg-type]  # literals in a dictionary
    context.set_default_timeout(8_000)
    with visit(context, server) as page:
        assert serious(page) == []
        page.screenshot(path=shots / f"sign-in-{width}-{scheme}.png")
        sign_up(page)
        call(page)
        page.get_by_label("Message", exact=True).fill("Hello")
        page.keyboard.press("Enter")
        expect(page.locator("#waterfall")).to_contain_text("First sound")
        assert serious(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.screenshot(path=shots / f"call-{width}-{scheme}.png", full_page=True)
    context.close()


def serious(page: Page) -> list[str]:
    """What axe-core has serious objections to."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['html']}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
