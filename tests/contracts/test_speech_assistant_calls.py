"""speech-assistant, sections 4.2, 4.3 and 6.1: calls over WebRTC with a server in a process of its own."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import pytest

from tests.contracts.harness import TrialServer, refusal, until
from tests.contracts.speech import (
    PITCH_HZ,
    SIZES,
    Replicas,
    Service,
    closed,
    end,
    new_session,
    newcomer,
    signal,
    switching,
    talking,
    told,
)
from tests.transports.browser import Browser, pitch_hz, tone

pytestmark = pytest.mark.anyio

Headers = Mapping[str, str]
ANSWER: Final = "You said: Will it rain tomorrow?"


@pytest.fixture
def ann(speech: Replicas) -> Headers:
    """Somebody without a session."""
    return newcomer(speech)


def sockets(speech: Replicas) -> int:
    """UDP sockets that the servers have open."""
    return sum(map(_sockets, speech.servers))


def _sockets(server: TrialServer) -> int:
    found = 0
    inodes = set(re.findall(r"^\s*\d+: (?:\S+\s+){8}(\d+)", _udp(server), re.MULTILINE))
    for link in Path(f"/proc/{server.pid}/fd").iterdir():
        try:
            target = str(link.readlink())
        except FileNotFoundError:  # closed in the meantime
            continue
        found += target.removeprefix("socket:[").rstrip("]") in inodes
    return found


def _udp(server: TrialServer) -> str:
    tables = Path(f"/proc/{server.pid}/net")
    return (tables / "udp").read_text() + (tables / "udp6").read_text()


@pytest.mark.contract("SA-09", "SA-12", "SA-38")
async def test_who_speaks_is_answered_within_two_seconds(speech: Replicas, ann: Headers) -> None:
    session = new_session(speech, ann)
    spoken_s = 0.6
    browser = Browser(tone(600, spoken_s), channel=True)
    async with talking(speech, ann, session, browser) as response:
        assert set(response.json()) == {"sdp_answer"}
        assert "x-jackfield-warning" not in response.headers
        began_s = time.monotonic()
        sound = await browser.until_loud(0.4)
        assert time.monotonic() - began_s < spoken_s + 2
        assert pitch_hz(sound) == pytest.approx(PITCH_HZ, rel=0.05)
        assert (await browser.event("transcript"))["text"] == "Will it rain tomorrow?"
        assert (await browser.event("reply.finished"))["text"] == ANSWER


@pytest.mark.contract("SA-09", "SA-10")
async def test_a_page_without_a_microphone_is_told_so_and_hears(speech: Replicas, ann: Headers) -> None:
    browser = Browser(channel=True)
    async with talking(speech, ann, new_session(speech, ann), browser, candidates=False) as response:
        assert response.headers["x-jackfield-warning"] == "no-inbound-audio"
        await browser.say("text", text="Hello")
        assert pitch_hz(await browser.until_loud(0.2)) == pytest.approx(PITCH_HZ, rel=0.05)
    until(lambda: "sends no sound" in speech.output(), "the server warns that it hears nobody")


@pytest.mark.contract("SA-11")
@pytest.mark.parametrize("speech", SIZES[1:], indirect=True)
async def test_an_answer_has_all_candidates_and_nobody_is_waited_for_longer_than_configured(
    speech: Replicas, ann: Headers
) -> None:
    session = new_session(speech, ann)
    async with Browser(channel=True) as browser:
        answer = signal(speech, ann, session, sdp=await browser.offer()).json()["sdp_answer"]
    assert "a=candidate:" in answer
    assert "a=end-of-candidates" in answer
    over = f"session ended; session_id={session['session_id']} reason=not_connected"
    await anyio.to_thread.run_sync(until, lambda: over in speech.output(), "nobody is waited for any more")
    refusal(end(speech, ann, session), 404, "session_not_found")


@pytest.mark.contract("SA-08")
async def test_a_secret_is_good_for_one_offer(speech: Replicas, ann: Headers) -> None:
    session = new_session(speech, ann)
    browser = Browser(channel=True)
    async with talking(speech, ann, session, browser):
        again = await anyio.to_thread.run_sync(partial(signal, speech, ann, session))
        refusal(again, 409, "already_signalled")


@pytest.mark.contract("SA-48", "SA-41")
async def test_a_browser_that_goes_leaves_nothing_behind(speech: Replicas, ann: Headers) -> None:
    session = new_session(speech, ann)
    async with talking(speech, ann, session, Browser(tone(600, 1), channel=True)):
        assert sockets(speech) > 0
    began_s = time.monotonic()
    over = f"session ended; session_id={session['session_id']} reason=hung_up"
    await anyio.to_thread.run_sync(until, lambda: over in speech.output(), "the session is over")
    await anyio.to_thread.run_sync(until, lambda: sockets(speech) == 0, "its sockets are closed")
    assert time.monotonic() - began_s < 5
    refusal(end(speech, ann, session), 404, "session_not_found")


@pytest.mark.contract("SA-48")
async def test_a_session_that_is_deleted_hangs_up(speech: Replicas, ann: Headers) -> None:
    session = new_session(speech, ann)
    browser = Browser(channel=True)
    async with talking(speech, ann, session, browser):
        response = await anyio.to_thread.run_sync(end, speech, ann, session)
        assert response.status_code == 204
        assert (await browser.event("ended"))["reason"] == "hung_up"
        await browser.until(lambda: browser.connection.connectionState == "closed")
    new_session(speech, ann)
    new_session(speech, ann)  # both places are free


@pytest.mark.contract("SA-48")
@pytest.mark.parametrize("speech", SIZES[:1], indirect=True)
async def test_a_session_that_is_deleted_waits_for_no_browser(speech: Replicas, ann: Headers) -> None:
    session = new_session(speech, ann)
    async with Browser(channel=True) as browser:
        signal(speech, ann, session, sdp=await browser.offer()).raise_for_status()
    assert sockets(speech) > 0
    began_s = time.monotonic()
    end(speech, ann, session).raise_for_status()
    await anyio.to_thread.run_sync(until, lambda: sockets(speech) == 0, "its sockets are closed")
    assert time.monotonic() - began_s < 5
    assert f"session ended; session_id={session['session_id']} reason=hung_up" in speech.output()


@pytest.mark.contract("SA-18", "SA-39", "SA-41")
async def test_a_running_call_plays_another_scenario_and_keeps_the_talk(
    speech: Replicas, ann: Headers
) -> None:
    session = new_session(speech, ann)
    browser = Browser(channel=True)
    async with talking(speech, ann, session, browser):
        await browser.say("text", text="First")
        await browser.event("reply.finished")
        await anyio.to_thread.run_sync(_switched, speech, ann, "Quiz-Night", session)
        browser.events.clear()
        with speech.noting("llm") as notes:
            await browser.say("text", text="Second")
            await browser.event("reply.finished")
        messages = notes[0]["messages"]
        assert messages[0] == ["system", "You ask riddles."]
        assert ["assistant", "You said: First"] in messages
    over = f"session ended; session_id={session['session_id']}"
    await anyio.to_thread.run_sync(until, lambda: over in speech.output(), "the session is over")
    log = speech.output()
    for line in ("session started", "session signalled", "session switched", "session ended"):
        assert log.count(f"{line}; session_id={session['session_id']}") == 1, log
    assert session["client_secret"] not in log
    assert "a=ice-pwd" not in log


@pytest.mark.contract("SA-09", "SA-18", "SA-48")
async def test_each_step_may_be_another_servers(speech: Replicas, ann: Headers) -> None:
    one, two = speech.servers[0], speech.servers[-1]
    session = new_session(one, ann)
    browser = Browser(channel=True)
    async with talking(two, ann, session, browser):
        await anyio.to_thread.run_sync(_switched, one, ann, "quiz_night", session)
        assert (await anyio.to_thread.run_sync(end, one, ann, session)).status_code == 204
        assert (await browser.event("ended"))["reason"] == "hung_up"
    assert f"session started; session_id={session['session_id']}" in one.output()
    assert f"session switched; session_id={session['session_id']}" in two.output()


def _switched(server: Service, headers: Headers, scenario: str, session: Mapping[str, str]) -> None:
    """Switch the user's newest session, whichever that is."""
    with switching(server, headers, scenario) as socket:
        assert told(socket) == {
            "type": "scenario.updated",
            "session_id": session["session_id"],
            "scenario_id": "quiz_night",
        }


@pytest.mark.contract("SA-18")
async def test_sockets_are_told_of_switches_made_elsewhere(speech: Replicas, ann: Headers) -> None:
    session = new_session(speech, ann)
    with switching(speech, ann, "customer_service", session) as one:
        assert told(one)["scenario_id"] == "customer_service"
        with switching(speech, ann, "gameshow_host") as two:
            two.send('{"type": "scenario.update", "scenario_id": "default"}')
            assert [told(one)["scenario_id"] for _ in range(2)] == ["gameshow_host", "default"]
        for wrong, code in (
            ("{}", "invalid_message"),
            ("hello", "invalid_json"),
            ('{"type": "scenario.update", "scenario_id": "unknown"}', "scenario_not_found"),
        ):
            one.send(wrong)
            error = told(one)
            assert (error["type"], error["code"]) == ("error", code)


@pytest.mark.contract("SA-20", "SA-45")
async def test_a_switch_that_cannot_be_is_refused(speech: Replicas, ann: Headers) -> None:
    with switching(speech, ann, "default") as socket:
        assert told(socket)["code"] == "session_not_found"
        assert closed(socket) == 4404
    session = new_session(speech, ann)
    with switching(speech, ann, "unknown") as socket:
        assert told(socket)["code"] == "scenario_not_found"
        assert closed(socket) == 4404
    bob = newcomer(speech)
    with switching(speech, bob, "default", session) as socket:
        assert told(socket)["code"] == "not_your_session"
        assert closed(socket) == 4403
    with switching(speech, {}, "default", session) as socket:
        assert told(socket)["code"] == "not_authenticated"
        assert closed(socket) == 4401


@pytest.mark.contract("SA-18")
async def test_the_socket_ends_with_the_session(speech: Replicas, ann: Headers) -> None:
    session = new_session(speech, ann)
    with switching(speech, ann, "default") as socket:
        assert told(socket)["type"] == "scenario.updated"
        assert end(speech, ann, session).status_code == 204
        assert told(socket)["code"] == "session_not_found"
        assert closed(socket) == 4404
