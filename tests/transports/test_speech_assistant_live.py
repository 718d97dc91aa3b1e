"""Sessions whose calls run in this process, and what other replicas ask of them at the same time."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from jackfield import ProtocolError
from jackfield.contracts.auth import UserId
from jackfield.contracts.call import CallRequest
from jackfield.contracts.turn import ConversationRef
from jackfield.testing import VirtualClock
from jackfield_session_memory import MemoryOptions, MemoryStore
from jackfield_transport_speech_assistant.book import Book, Session
from jackfield_transport_speech_assistant.cast import Cast
from jackfield_transport_speech_assistant.live import LiveSessions
from jackfield_transport_speech_assistant.peer import Peer
from tests.transports.browser import Browser
from tests.transports.switchboard import Switchboard, TrialCall

pytestmark = pytest.mark.anyio

REQUEST = CallRequest(ConversationRef("", UserId("people", "ann"), "s"), "speech_assistant", 16_000)
SCENARIOS: Any = SimpleNamespace(names=lambda: ["default", "gameshow_host"], get=lambda _name: None)


class House:
    """A replica without a panel: its calls are the test's."""

    def __init__(self) -> None:
        self.store = MemoryStore(MemoryOptions())
        self.switchboard = Switchboard()
        panel: Any = SimpleNamespace(calls=self.switchboard)
        self.book = Book(self.store, "/", per_user=2, offer_s=600)
        self.live = LiveSessions(panel, self.book, self.store, Cast(SCENARIOS))
        leg: Any = None
        self.call = TrialCall(REQUEST, leg)

    async def let_in(self) -> tuple[Session, Session]:
        """A session as others know it, and as whoever answers its offer does."""
        session, secret = await self.book.create("people/ann", "default")
        return session, await self.book.admit(session, secret)

    @asynccontextmanager
    async def held(self, session: Session) -> AsyncIterator[None]:
        """The session's call is held."""
        begun = anyio.Event()

        async def talk() -> Any:
            begun.set()
            return await self.call.run()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.live.hold, session, self.call, talk)
            await begun.wait()
            yield
            self.call.hang_up()


@pytest.mark.contract("SA-18")
async def test_a_switch_while_the_offer_is_answered_is_played() -> None:
    house = House()
    session, joined = await house.let_in()
    await house.live.switch(session, "gameshow_host")
    async with house.held(joined):
        assert house.call.told == [("switch", "gameshow_host")]
        assert (await house.book.find("people/ann", session.id)).scenario == "gameshow_host"


@pytest.mark.contract("SA-18")
async def test_a_switch_by_whoever_does_not_know_yet_that_it_was_joined_is_played() -> None:
    house = House()
    session, joined = await house.let_in()
    async with house.held(joined):
        await house.live.switch(session, "gameshow_host")
        await house.call.until_told("switch")
        while not (known := await house.book.find("people/ann", session.id)).joined:
            await anyio.lowlevel.checkpoint()
        assert known.scenario == "gameshow_host"


@pytest.mark.contract("SA-48")
async def test_a_session_that_is_ended_while_its_offer_is_answered_does_not_begin() -> None:
    house = House()
    session, joined = await house.let_in()
    await house.live.end(session)
    with pytest.raises(ProtocolError, match="session_not_found"):
        await house.live.hold(joined, house.call, house.call.run)


@pytest.mark.contract("SA-48")
async def test_a_session_that_is_hung_up_before_its_browser_has_the_answer_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house, peer = House(), Peer("rs_1")
    switchboard, join = house.switchboard, house.book.join
    _, joined = await house.let_in()

    async def join_late(session: Session) -> Session | None:
        await house.store.publish(session.channel, {"hang_up": True})
        while switchboard.call.reason is None:
            await anyio.lowlevel.checkpoint()
        return await join(session)

    monkeypatch.setattr(house.book, "join", join_late)
    async with anyio.create_task_group() as server:
        server.start_soon(house.live.run)
        await anyio.wait_all_tasks_blocked()
        async with Browser(channel=True) as browser:
            await house.live.join(joined, REQUEST, peer, await browser.offer())
            await switchboard.call.until_closed()
        server.cancel_scope.cancel()
    assert switchboard.call.reason == "hung_up"


class Refusing:
    """A peer that takes no offer, and holds itself as a connection does."""

    def __init__(self) -> None:
        self.itself = self

    async def answer(self, _offer: str) -> str:
        raise ProtocolError(422, "invalid_sdp", "no")

    async def close(self) -> None:
        pass


class Pondering:
    """A peer that never comes to an answer."""

    def __init__(self) -> None:
        self.asked = anyio.Event()
        self.closed = False

    async def answer(self, _offer: str) -> str:
        self.asked.set()
        await anyio.sleep_forever()
        raise AssertionError

    async def close(self) -> None:
        self.closed = True


@pytest.mark.contract("SA-40")
async def test_an_offer_that_is_being_answered_when_the_server_stops_is_refused_for_that() -> None:
    house, peer = House(), Pondering()
    _, joined = await house.let_in()
    given: Any = peer

    async def ask() -> None:
        with pytest.raises(ProtocolError) as refusal:
            await house.live.join(joined, REQUEST, given, "v=0")
        assert (refusal.value.status, refusal.value.code) == (503, "server_stopping")

    async with anyio.create_task_group() as requests, anyio.create_task_group() as server:
        server.start_soon(house.live.run)
        await anyio.wait_all_tasks_blocked()
        requests.start_soon(ask)
        await peer.asked.wait()
        server.cancel_scope.cancel()
    assert peer.closed


async def test_who_leaves_while_their_offer_is_answered_is_refused_nothing() -> None:
    house, peer = House(), Pondering()
    _, joined = await house.let_in()
    given: Any = peer
    async with anyio.create_task_group() as server:
        server.start_soon(house.live.run)
        await anyio.wait_all_tasks_blocked()
        async with anyio.create_task_group() as request:
            request.start_soon(house.live.join, joined, REQUEST, given, "v=0")
            await peer.asked.wait()
            request.cancel_scope.cancel()
        assert peer.closed
        server.cancel_scope.cancel()


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"loop_factory": VirtualClock})], ids=["virtual"])
async def test_what_closed_peers_leave_is_collected_within_a_minute() -> None:
    house = House()
    _, joined = await house.let_in()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(house.live.run)
        await anyio.sleep(1)
        gc.disable()
        try:
            peer: Any = Refusing()
            left = weakref.ref(peer)
            with pytest.raises(ProtocolError, match="invalid_sdp"):
                await house.live.join(joined, REQUEST, peer, "v=0")
            del peer
            await anyio.sleep(60)
            assert left() is None
        finally:
            gc.enable()
        tasks.cancel_scope.cancel()
