"""What a stranger finds who starts the default configuration: a page, and every door without signing in."""

from __future__ import annotations

import re
from pathlib import Path

import anyio
import httpx
import pytest
from websockets.sync.client import connect

from jackfield.audio.decode import decode
from tests.acceptance.offline import OfflineServer
from tests.transports.browser import RATE_HZ, Browser

QUESTION = Path(__file__).parents[2] / "examples" / "question.wav"


def page(server: OfflineServer) -> str:
    """The address that is printed."""
    found = re.search(r"^Talk to it: (\S+)$", server.output(), re.M)
    assert found is not None, server.output()
    return found[1]


def test_the_printed_address_opens_a_page_with_everything_it_loads(offline: OfflineServer) -> None:
    address = page(offline)
    assert address.startswith(offline.url)
    opened = offline.client.get(address)
    assert (opened.status_code, opened.headers["content-type"]) == (200, "text/html; charset=utf-8")
    loaded = re.findall(r'(?:src|href)="(?!#)([^"]+)"', opened.text)
    assert len(loaded) >= 2
    for name in loaded:
        assert offline.client.get(httpx.URL(address).join(name)).status_code == 200, name


def test_the_page_finds_the_doors_and_asks_for_no_name(offline: OfflineServer) -> None:
    settings = offline.client.get(f"{page(offline)}settings.json").json()
    speech, chat = settings["speech"], settings["chat"]
    assert (speech["mount"], speech["signs_in"], chat["mount"], chat["signs_in"]) == (
        "/speech",
        False,
        "",
        False,
    )
    scenarios = offline.client.get("/speech/scenarios").json()["scenarios"]
    assert [each["id"] for each in scenarios] == ["default", "customer_service", "gameshow_host"]


def test_the_form_is_at_the_root_and_the_socket_at_its_place(offline: OfflineServer) -> None:
    assert offline.ask("What is the capital of France?") == "The capital of France is Paris."
    with connect(offline.url.replace("http", "ws", 1) + "/voice", proxy=None) as socket:
        socket.send('{"type": "start", "turns": "explicit", "greet": false}')
        assert '"started"' in str(socket.recv(10))


@pytest.mark.anyio
async def test_a_question_is_answered_over_webrtc_without_a_bearer(offline: OfflineServer) -> None:
    question = decode(QUESTION.read_bytes(), rate_hz=RATE_HZ, max_s=30)
    async with httpx.AsyncClient(base_url=f"{offline.url}/speech", trust_env=False) as client:
        session = (await client.get("/realtime/session")).raise_for_status().json()
        async with Browser(question, channel=True) as browser:
            given = {name: session[name] for name in ("session_id", "client_secret")}
            offer = {**given, "sdp": await browser.offer()}
            answer = (await client.post("/realtime/signal", json=offer)).raise_for_status().json()
            await browser.accept(answer["sdp_answer"])
            with anyio.fail_after(60):
                assert (await browser.event("transcript"))["text"] == "What is the capital of Japan?"
                assert (await browser.event("reply.finished"))["text"] == "The capital of Japan is Tokyo."
                await browser.until_loud(0.5)
