"""The console in a real browser: how a test opens it, signs in, and looks at it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it has no types
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.contracts.sign_in import PASSWORD

CHROMIUM: Final = shutil.which("chromium")
VOICE: Final = Path(__file__).parents[2] / "examples" / "question.wav"
SAID: Final = "Will it rain tomorrow?"
"""What the trial recogniser hears in it, as in anything."""
ELSEWHERE: Final = "device.example"
"""A name of this machine that browsers do not take for it."""
PATIENCE_MS: Final = 20_000
_PEOPLE: Final = count()
_LISTEN: Final = """() => {
    window.heard_ms = 0;
    const context = new AudioContext();
    const meter = context.createAnalyser();
    context.createMediaStreamSource(document.getElementById("voice").srcObject).connect(meter);
    const samples = new Uint8Array(meter.fftSize);
    setInterval(() => {
        meter.getByteTimeDomainData(samples);
        if (Math.max(...samples) > 140) window.heard_ms += 20;
    }, 20);
}"""
"""Counts for how long the voice is heard, at least."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser whose microphone says something as soon as it is used."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-audio-capture={VOICE}%noloop",
                f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1",
            ],
        )
        yield browser
        browser.close()


@contextmanager
def visiting(browser: Browser, url: str, *, microphone: bool = True, **options: object) -> Iterator[Page]:
    """Open the page in a context of its own, which may use the microphone or not; see `opened`."""
    permissions = ["microphone"] if microphone else []
    context = browser.new_context(permissions=permissions, **options)  # type: ignore[arg-type]  # the caller's
    with opened(context, url) as page:
        yield page
    context.close()


@contextmanager
def opened(context: BrowserContext, url: str) -> Iterator[Page]:
    """Open the page; afterwards no policy was offended and nothing fetched from elsewhere."""
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if "Security Policy" in said.text else None)
    home = (url[: url.index("/", len("https://"))], "blob:")
    page.on("request", lambda asked: None if asked.url.startswith(home) else faults.append(asked.url))
    page.goto(url)
    yield page
    assert faults == []


def sign_up(page: Page) -> str:
    """Open an account and sign in; gives its address."""
    email = f"visitor{next(_PEOPLE)}@example.com"
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    return email


def call(page: Page) -> None:
    """Call, and wait until the call is held."""
    page.get_by_role("button", name="Call", exact=True).click()
    begun(page)


def begun(page: Page) -> None:
    """Wait until the call is held, and begin to listen."""
    expect(page.locator("#log")).to_contain_text("The call begins.")
    page.evaluate(_LISTEN)


def say(page: Page, text: str) -> None:
    """Type a message."""
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


def hear(page: Page, least_ms: int) -> None:
    """Wait until the voice was heard for so long."""
    page.wait_for_function("least_ms => window.heard_ms >= least_ms", arg=least_ms)


def serious(page: Page) -> list[str]:
    """What axe-core has serious objections to."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['html']}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
