"""Calls that go through a TURN server, with credentials that it has never seen."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from jackfield_transport_speech_assistant.ice import IceServer, Relays
from jackfield_transport_speech_assistant.peer import Peer
from jackfield_transport_speech_assistant.track import RATE_HZ
from tests.transports.browser import Browser, pitch_hz, tone
from tests.transports.test_speech_assistant_peer import line
from tests.turn_server import TurnServer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(25)]


@pytest.fixture(scope="module")
def turn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TurnServer]:
    with TurnServer(tmp_path_factory.mktemp("turn")) as server:
        yield server


def ice_servers(turn: TurnServer, secret: str = TurnServer.secret) -> list[IceServer]:
    return Relays(turn.address, secret=secret).ice_servers("people/ann", time.time())


def relayed(description: str) -> str:
    """The description with no address but those of a relay: there is no other way then."""
    lines = description.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("a=candidate:") or "typ relay" in line)


@pytest.mark.contract("SA-07", "SA-38")
async def test_a_call_goes_through_a_relay_when_there_is_no_other_way(turn: TurnServer) -> None:
    servers = ice_servers(turn)
    browser = Browser(ice_servers=[server.shown() for server in servers])
    async with browser, line(browser, ice_servers=servers, only=relayed) as held:
        await browser.connected()
        held.peer.leg.play(0, tone(1000, 0.4, rate_hz=RATE_HZ))
        held.peer.leg.end(0)
        assert pitch_hz(await browser.until_loud(0.2)) == pytest.approx(1000, rel=0.05)


@pytest.mark.contract("SA-07")
async def test_credentials_of_another_secret_get_no_relay(turn: TurnServer) -> None:
    peer = Peer("rs_1", ice_servers(turn, "south"))
    async with Browser() as browser:
        answer = await peer.answer(await browser.offer())
        assert "typ relay" not in answer
        await peer.close()
