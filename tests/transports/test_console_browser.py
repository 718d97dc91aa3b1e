"""The console in a real browser, against a server of its own: calls, messages, what it looks like."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.contracts.harness import Tree, TrialServer
from tests.contracts.sign_in import PASSWORD
from tests.contracts.speech import speaking
from tests.transports.console import (
    CHROMIUM,
    SAID,
    begun,
    call,
    chromium,
    hear,
    say,
    serious,
    sign_up,
    visiting,
)

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(CHROMIUM is None, reason="apt-get install chromium"),
]
NO_MICROPHONE = """() => {
    navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("", "NotFoundError"));
}"""

TRACKS = """() => {
    window.tracks = [];
    const given = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wanted) => {
        const stream = await given(wanted);
        window.tracks.push(...stream.getTracks());
        return stream;
    };
}"""
"""Keeps what the page is given of the microphone."""


def console() -> Tree:
    """A configuration: the console beside the doors that it talks with."""
    config = speaking()
    doors = [{"use": "relay_chat", "auth": "people", "options": {"include_transcript": True}}]
    doors.append({"use": "console", "mount": "/console", "auth": "people"})
    return {**config, "transport": [*config["transport"], *doors]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrialServer]:
    with TrialServer(tmp_path_factory.mktemp("server"), console()) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, server: TrialServer) -> Iterator[Page]:
    """The page of somebody who has signed in."""
    with visiting(browser, f"{server.url}/console") as page:
        sign_up(page)
        yield page


def test_who_speaks_into_the_microphone_reads_and_hears_the_answer(page: Page) -> None:
    call(page)
    expect(page.locator("#log .user").first).to_contain_text(SAID)
    hear(page, 100)
    answer = page.locator("#log .assistant").first
    expect(answer).to_contain_text(f"You said: {SAID}")
    expect(answer).to_contain_text("by trial")
    expect(page.locator("#waterfall")).to_contain_text("First sound")
    bars = page.locator("#waterfall li").evaluate_all("rows => rows.map(row => row.childElementCount > 2)")
    assert bars == sorted(bars, reverse=True)
    assert len(set(bars)) == 2
    expect(page.locator("#facts")).to_contain_text("Spoken bytone")
    page.get_by_role("button", name="Hang up").click()
    expect(page.locator("#state")).to_have_text("Ready")


@pytest.fixture
def mute(browser: Browser, server: TrialServer) -> Iterator[Page]:
    """The page of somebody who has signed in and called, and lets nobody use the microphone."""
    with visiting(browser, f"{server.url}/console", microphone=False) as page:
        sign_up(page)
        page.get_by_role("button", name="Call", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("not allowed to use the microphone")
        page.get_by_role("button", name="Call without a microphone").click()
        begun(page)
        yield page


def test_who_refuses_the_microphone_can_call_and_type(mute: Page) -> None:
    expect(mute.locator("#state")).to_have_text("In a call, without a microphone")
    say(mute, "Hello")
    expect(mute.locator("#log .assistant").last).to_contain_text("You said: Hello")


def test_what_is_typed_in_a_call_shows_at_once_that_an_answer_is_awaited(
    mute: Page, server: TrialServer
) -> None:
    os.kill(server.pid, signal.SIGSTOP)
    try:
        say(mute, "Hello")
        expect(mute.locator("#log .assistant.partial .words")).to_be_empty()
        expect(mute.locator("#state")).to_have_text("Waiting for the answer")
    finally:
        os.kill(server.pid, signal.SIGCONT)
    expect(mute.locator("#log .assistant")).to_contain_text("You said: Hello")
    expect(mute.locator("#log .assistant")).to_have_count(1)
    expect(mute.locator("#state")).to_have_text("In a call")


def test_what_was_typed_shows_as_not_answered_when_the_call_ends_before(
    mute: Page, server: TrialServer
) -> None:
    os.kill(server.pid, signal.SIGSTOP)
    try:
        say(mute, "Hello")
        mute.get_by_role("button", name="Hang up").click()
        expect(mute.locator("#log .user .label")).to_have_text("not answered")
        expect(mute.locator("#log .assistant")).to_have_count(0)
    finally:
        os.kill(server.pid, signal.SIGCONT)


def test_a_microphone_that_is_refused_is_told_when_recording(browser: Browser, server: TrialServer) -> None:
    with visiting(browser, f"{server.url}/console", microphone=False) as page:
        sign_up(page)
        page.get_by_role("button", name="Record").click()
        expect(page.get_by_role("alert")).to_contain_text("not allowed to use the microphone")
        expect(page.get_by_role("button", name="Call", exact=True)).to_be_enabled()


def test_an_answer_is_interrupted_and_the_scenario_switched(mute: Page) -> None:
    page = mute
    say(page, "a long message, " * 20)
    hear(page, 500)
    page.get_by_role("button", name="Interrupt").click()
    expect(page.locator("#log .assistant .label").last).to_have_text("interrupted, by trial")
    words = page.locator("#log .assistant .words").last.inner_text()
    assert "You said: a long message" in words
    assert len(words) < 200
    page.get_by_label("Scenario").select_option("quiz_night")
    expect(page.locator("#log .note").last).to_contain_text("Quiz night")
    page.get_by_role("button", name="Hang up").click()
    expect(page.locator("#log .note").last).to_have_text("The call is over.")


def test_messages_and_recordings_go_through_the_form_outside_of_calls(page: Page) -> None:
    say(page, "Hello")
    expect(page.locator("#log .assistant").last).to_contain_text("You said: Hello")
    expect(page.locator("#log .assistant .label")).to_have_text("by trial")
    page.get_by_role("button", name="Record").click()
    expect(page.locator("#state")).to_have_text("Recording")
    page.wait_for_timeout(800)
    page.get_by_role("button", name="Send the recording").click()
    expect(page.locator("#log .user").last).to_contain_text(SAID)
    expect(page.get_by_label("Spoken answer")).to_be_visible()
    expect(page.locator("#facts")).to_contain_text("Understood bytrial")


@pytest.mark.parametrize("way", ["Escape", "Discard"])
def test_a_recording_can_be_thrown_away(page: Page, way: str) -> None:
    sent: list[str] = []
    page.on("request", lambda asked: sent.append(asked.url) if asked.url.endswith("/chat") else None)
    page.evaluate(TRACKS)
    page.get_by_role("button", name="Record").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#spoken")).to_contain_text("Recording. Escape discards it.")
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_hidden()
    if way == "Discard":
        page.keyboard.press("Shift+Tab")
        expect(page.locator(":focus")).to_have_accessible_name("Discard")
    page.keyboard.press("Enter" if way == "Discard" else way)
    expect(page.locator("#spoken")).to_contain_text("The recording was discarded.")
    expect(page.get_by_role("button", name="Record")).to_be_focused()
    expect(page.get_by_role("button", name="Discard")).to_be_hidden()
    page.wait_for_function("window.tracks.length && window.tracks.every(one => one.readyState === 'ended')")
    say(page, "Hello")
    expect(page.locator("#log .assistant")).to_contain_text("You said: Hello")
    assert len(sent) == 1


def test_everything_can_be_done_with_the_keyboard(browser: Browser, server: TrialServer) -> None:
    with visiting(browser, f"{server.url}/console") as page:
        expect(page.get_by_label("E-mail address")).to_be_focused()
        page.keyboard.type("keys@example.com")
        page.keyboard.press("Tab")
        page.keyboard.insert_text(PASSWORD)
        for key in ("Tab", "Tab", "Enter"):
            page.keyboard.press(key)
        expect(page.get_by_label("Message", exact=True)).to_be_focused()
        for name in ("Send", "Record", "Scenario", "Call"):
            page.keyboard.press("Tab")
            expect(page.locator(":focus")).to_have_accessible_name(name)
        page.keyboard.press("Enter")
        begun(page)
        for name in ("Interrupt", "Mute"):
            page.keyboard.press("Tab")
            expect(page.locator(":focus")).to_have_accessible_name(name)
        page.keyboard.press("Space")
        expect(page.get_by_role("button", name="Unmute")).to_have_attribute("aria-pressed", "true")
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#spoken")).to_contain_text("The call is over.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280], ids=["phone", "desk"])
def test_people_who_cannot_see_or_point_can_use_it(
    browser: Browser, server: TrialServer, width: int, scheme: str, tmp_path: Path
) -> None:
    shots = Path(os.environ.get("CONSOLE_SHOTS", tmp_path))
    screen, shot = {"width": width, "height": 844}, f"{width}-{scheme}.png"
    with visiting(browser, f"{server.url}/console", viewport=screen, color_scheme=scheme) as page:
        sign_in = page.get_by_role("button", name="Sign in")
        page.get_by_label("E-mail address").fill("nobody@example.com")
        page.get_by_label("Password").fill("wrong")
        sign_in.click()
        expect(page.get_by_role("alert")).to_contain_text("password is not right")
        fine(page, shots / f"refused-{shot}")
        sign_up(page)
        expect(page.get_by_text("Press Call, type, or record.")).to_be_visible()
        fine(page, shots / f"idle-{shot}")
        page.get_by_role("button", name="Record").click()
        expect(page.get_by_role("button", name="Discard")).to_be_visible()
        fine(page, shots / f"recording-{shot}")
        page.keyboard.press("Escape")
        for text in ("word " * 300, "w" * 300, "Hello"):
            say(page, text)
            expect(page.locator("#log .assistant").last).to_contain_text(f"You said: {text}".strip())
            expect(page.get_by_role("button", name="Send", exact=True)).to_be_enabled()
        page.evaluate(NO_MICROPHONE)
        page.get_by_role("button", name="Call", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("no microphone")
        fine(page, shots / f"long-{shot}")
        page.get_by_role("button", name="Call without a microphone").click()
        begun(page)
        say(page, "Hello")
        expect(page.locator("#waterfall")).to_contain_text("First sound")
        fine(page, shots / f"call-{shot}")


def fine(page: Page, shot: Path) -> None:
    """Everybody can use the page as it is now, and it fits the screen. Leaves a picture."""
    page.screenshot(path=shot, full_page=True)
    assert serious(page) == [], shot.name
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), shot.name
