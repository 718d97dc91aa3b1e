"""The socket that changes scenarios, when the session expires or the store fails."""

from __future__ import annotations

import json
import logging

import anyio
import pytest
from websockets.asyncio.client import ClientConnection, connect

from jackfield import StoreUnavailable
from jackfield_session_memory import MemoryStore
from tests.transports.telephones import MOUNT, Telephones, telephones

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(10)]


async def switching(house: Telephones) -> connect:
    """A session of somebody, and its socket."""
    (await house.client.get(f"{MOUNT}/realtime/session")).raise_for_status()
    return connect(f"ws://127.0.0.1:{house.twilio.port}{MOUNT}/update-scenario/gameshow_host", proxy=None)


async def refused(socket: ClientConnection) -> tuple[str, int | None]:
    """What a socket says next, and the code with which it is closed."""
    said = json.loads(await socket.recv())
    await socket.wait_closed()
    return said["code"], socket.close_code


@pytest.mark.contract("SA-18", "SA-40")
async def test_the_socket_of_a_session_that_expires_is_closed() -> None:
    async with telephones(offer_s=1) as house, await switching(house) as socket:
        assert json.loads(await socket.recv())["type"] == "scenario.updated"
        with anyio.fail_after(5):
            assert await refused(socket) == ("session_not_found", 4404)


@pytest.mark.contract("SA-31", "SA-40")
async def test_a_store_that_fails_during_a_switch_is_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_store: MemoryStore, _key: str) -> str | None:
        raise StoreUnavailable("it has gone")

    async with telephones() as house, await switching(house) as socket:
        assert json.loads(await socket.recv())["type"] == "scenario.updated"
        monkeypatch.setattr(MemoryStore, "get", fail)
        await socket.send(json.dumps({"type": "scenario.update", "scenario_id": "default"}))
        assert await refused(socket) == ("store_unavailable", 1013)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
