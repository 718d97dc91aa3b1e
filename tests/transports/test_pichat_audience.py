"""pichat: how the sockets of a user are kept in step, whatever is missed."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest

from jackfield.contracts.panel import Panel
from jackfield.contracts.session import Signal
from jackfield.errors import StoreUnavailable
from jackfield.plugin import Site
from jackfield.sockets import JsonSocket
from jackfield.testing import TransportSuite
from jackfield_session_memory import MemoryOptions, MemoryStore
from jackfield_transport_pichat import PichatOptions, make_transport
from jackfield_transport_pichat.audience import Audience
from jackfield_transport_pichat.changes import Change
from jackfield_transport_pichat.door import Pichat
from jackfield_transport_pichat.wire import Json, frame

pytestmark = pytest.mark.anyio

OWNER = "devices/default"
RENAMED = Change("updated", "conversation-1")


class Listener:
    """What a socket was sent."""

    def __init__(self) -> None:
        self.actions: list[str] = []
        self._came = anyio.Event()

    @property
    def socket(self) -> JsonSocket:
        return cast("JsonSocket", self)  # it has what the audience uses of one

    def post_text(self, text: str) -> None:
        self.actions.append(json.loads(text)["action"])
        self._came.set()

    async def until(self, *actions: str) -> None:
        with anyio.fail_after(5):
            while self.actions != [*actions]:
                self._came = anyio.Event()
                await self._came.wait()


class Signals(MemoryStore):
    """A store that can be away, and can lose a signal."""

    def __init__(self) -> None:
        super().__init__(MemoryOptions())
        self.away = False
        self.broken = anyio.Event()

    async def publish(self, channel: str, payload: Mapping[str, Any]) -> int:
        if self.away:
            raise StoreUnavailable("away")
        return await super().publish(channel, payload)

    def subscribe(self, channel: str) -> AbstractAsyncContextManager[AsyncIterator[Signal]]:
        return self._breaking(channel)

    @asynccontextmanager
    async def _breaking(self, channel: str) -> AsyncIterator[AsyncIterator[Signal]]:
        if self.away:
            raise StoreUnavailable("away")
        async with super().subscribe(channel) as signals:
            yield self._until_broken(signals)

    async def _until_broken(self, signals: AsyncIterator[Signal]) -> AsyncIterator[Signal]:
        async for signal in signals:
            if signal.payload == {"break": True}:
                raise StoreUnavailable("the connection broke")
            yield signal


async def retell(_owner: str, change: Change) -> Sequence[Json]:
    return [frame(f"retold {change.kind}", {})]


@asynccontextmanager
async def audiences(signals: Signals) -> AsyncIterator[tuple[Audience, Audience]]:
    """Those of two servers over one store."""
    first, second = (Audience(signals, retell, logging.getLogger("pichat")) for _ in range(2))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first.run)
        tasks.start_soon(second.run)
        await anyio.wait_all_tasks_blocked()
        yield first, second
        tasks.cancel_scope.cancel()


async def test_a_change_is_told_as_it_is_here_and_read_again_there() -> None:
    near, sender, far, stranger = (Listener() for _ in range(4))
    async with audiences(Signals()) as (first, second):
        async with (
            first.joined(OWNER, near.socket),
            first.joined(OWNER, sender.socket),
            second.joined(OWNER, far.socket),
            second.joined("devices/ann", stranger.socket),
        ):
            first.announce(OWNER, frame("conversation_updated", {}), RENAMED, sender.socket)
            await near.until("conversation_updated")
            await far.until("retold updated")
        assert sender.actions == stranger.actions == []


async def test_after_a_gap_everything_is_told_anew() -> None:
    signals, far = Signals(), Listener()
    async with audiences(signals) as (first, second), second.joined(OWNER, far.socket):
        first.announce(OWNER, frame("x", {}), RENAMED)
        await far.until("retold updated")
        signals._channels[f"pichat:{OWNER}"].sequence += 1  # one is lost
        first.announce(OWNER, frame("x", {}), RENAMED)
        await far.until("retold updated", "retold everything")


async def test_after_a_broken_connection_everything_is_told_anew(caplog: pytest.LogCaptureFixture) -> None:
    signals, far = Signals(), Listener()
    async with audiences(signals) as (first, second), second.joined(OWNER, far.socket):
        await signals.publish(f"pichat:{OWNER}", {"break": True})
        await far.until("retold everything")
        first.announce(OWNER, frame("x", {}), RENAMED)
        await far.until("retold everything", "retold updated")
    assert "changes on other servers cannot be heard of: the connection broke" in caplog.text


async def test_changes_that_could_not_be_told_are_read_again_later(caplog: pytest.LogCaptureFixture) -> None:
    signals, near, far = Signals(), Listener(), Listener()
    async with (
        audiences(signals) as (first, second),
        first.joined(OWNER, near.socket),
        second.joined(OWNER, far.socket),
    ):
        signals.away = True
        for _ in range(3):
            first.announce(OWNER, frame("told at once", {}), RENAMED)
        await near.until(*["told at once"] * 3)
        await anyio.wait_all_tasks_blocked()
        signals.away = False
        await far.until("retold everything")
    assert caplog.text.count("other servers cannot be told of changes: away") == 1


async def test_a_flood_of_changes_becomes_one_look_at_everything() -> None:
    signals, far = Signals(), Listener()
    async with audiences(signals) as (first, second), second.joined(OWNER, far.socket):
        for _ in range(300):  # before anything can be published
            first.announce(OWNER, frame("x", {}), RENAMED)
        await anyio.wait_all_tasks_blocked()
        assert "retold everything" in far.actions
        assert len(far.actions) < 60


async def test_who_is_told_last_does_not_lose_it_when_the_server_stops() -> None:
    signals, heard = Signals(), []
    async with signals.subscribe(f"pichat:{OWNER}") as listened:
        async with audiences(signals) as (first, _):
            first.announce(OWNER, frame("x", {}), RENAMED)
        with anyio.fail_after(5):
            heard.append((await anext(listened)).payload["changed"])
    assert heard == ["updated"]


async def test_a_socket_that_cannot_be_kept_in_step_is_refused_and_the_next_one_is_tried() -> None:
    signals, listener = Signals(), Listener()
    async with audiences(signals) as (first, _):
        signals.away = True
        with pytest.raises(StoreUnavailable):
            async with first.joined(OWNER, listener.socket):
                pass
        signals.away = False
        async with first.joined(OWNER, listener.socket):
            pass


@pytest.mark.parametrize(
    "payload", [{}, {"changed": "colour"}, {"changed": "updated", "conversation": 5}, {"chat": "x"}]
)
async def test_signals_of_others_are_ignored(payload: dict[str, object]) -> None:
    assert Change.read(payload) is None
    assert Change.read(RENAMED.payload()) == RENAMED


class TestTransport(TransportSuite):
    """The promises that every transport makes."""

    @pytest.fixture
    def transport(self) -> Pichat:
        transport = make_transport(
            PichatOptions(), Site("transport.1", "pichat", logging.getLogger("pichat"))
        )
        assert isinstance(transport, Pichat)
        return transport

    @pytest.fixture
    def panel(self) -> Panel:
        store = MemoryStore(MemoryOptions())
        metrics = SimpleNamespace(gauge=_metric, counter=_metric, histogram=_metric)
        sessions = SimpleNamespace(records=store, signals=store)
        return cast("Panel", SimpleNamespace(sessions=sessions, metrics=metrics, models=()))


def _metric(name: str, text: str, labels: object) -> None:
    return None
