"""chat-app: how sockets on one chat are kept in step, whatever comes when and whatever is missed."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest

from jackfield.contracts.panel import Panel, Sessions
from jackfield.contracts.session import Conversation, Record, Signal
from jackfield.errors import StoreUnavailable
from jackfield.plugin import Site
from jackfield.sockets import JsonSocket
from jackfield.testing import TransportSuite
from jackfield_session_memory import MemoryOptions, MemoryStore
from jackfield_transport_chat_app import ChatAppOptions, make_transport
from jackfield_transport_chat_app.audience import Audience, Member
from jackfield_transport_chat_app.chats import Chats
from jackfield_transport_chat_app.door import ChatApp
from jackfield_transport_chat_app.events import chat_history
from jackfield_transport_chat_app.replicas import Replicas

pytestmark = pytest.mark.anyio

OWNER, CHAT = "users/ann", "chat-1"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


class Listener:
    """What a socket was sent."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def post(self, message: Mapping[str, Any]) -> None:
        self.events.append(dict(message))

    def post_text(self, text: str) -> None:
        self.events.append(json.loads(text))

    def said(self) -> list[list[str]]:
        return [[message["content"] for message in event["messages"]] for event in self.events]


class Trial:
    """A chat in a store, and sockets on it."""

    def __init__(self) -> None:
        self.store = MemoryStore(MemoryOptions())
        self.sessions = SimpleNamespace(records=self.store, signals=self.store, shared=None)
        self.audience = Audience(Chats(cast("Sessions", self.sessions)))
        self._count = 0

    async def begin(self) -> None:
        await self.store.add_conversation(Conversation(CHAT, OWNER, "Title", BEGAN, BEGAN))

    async def exchange(self, text: str) -> list[Record]:
        """Add a question and its answer, as another server would."""
        self._count += 1
        at = BEGAN + timedelta(seconds=self._count)
        pair = [
            Record(f"q{self._count}", CHAT, "user", text, at),
            Record(f"a{self._count}", CHAT, "assistant", f"re {text}", at),
        ]
        assert await self.store.add_records(OWNER, pair)
        return pair

    async def member(self) -> tuple[Member, Listener]:
        listener = Listener()
        member = Member(cast("JsonSocket", listener), OWNER)
        await self.audience.enter(member, CHAT)
        return member, listener


@pytest.fixture
async def trial() -> Trial:
    trial = Trial()
    await trial.begin()
    return trial


async def test_what_others_added_is_told_exchange_by_exchange_and_once(trial: Trial) -> None:
    await trial.exchange("before")
    _, listener = await trial.member()
    for text in ("one", "two"):
        await trial.exchange(text)

    await trial.audience.catch_up(CHAT)
    await trial.audience.catch_up(CHAT)

    assert listener.said() == [["one", "re one"], ["two", "re two"]]
    assert {event["append"] for event in listener.events} == {True}


async def test_more_than_a_page_that_was_missed_is_told(trial: Trial) -> None:
    _, listener = await trial.member()
    texts = [f"message {number}" for number in range(60)]
    for text in texts:
        await trial.exchange(text)

    await trial.audience.catch_up(CHAT)

    assert listener.said() == [[text, f"re {text}"] for text in texts]


async def test_what_this_server_told_is_not_told_again(trial: Trial) -> None:
    sender, own = await trial.member()
    _, other = await trial.member()

    trial.audience.tell(CHAT, await trial.exchange("one"), sender)
    await trial.audience.catch_up(CHAT)

    assert own.events == []
    assert other.said() == [["one", "re one"]]


async def test_messages_that_come_while_a_history_is_read_follow_it_and_are_not_doubled(
    trial: Trial,
) -> None:
    member, listener = await trial.member()
    with member.reading():
        inside = await trial.exchange("inside")
        trial.audience.tell(CHAT, inside)
        trial.audience.tell(CHAT, await trial.exchange("after"))
        assert listener.events == []
        member.show(chat_history(CHAT, inside, append=False), [record.id for record in inside])

    assert listener.said() == [["inside", "re inside"], ["after", "re after"]]
    assert [event["append"] for event in listener.events] == [False, True]


async def test_a_socket_that_left_is_told_nothing(trial: Trial) -> None:
    member, listener = await trial.member()
    trial.audience.leave(member)

    trial.audience.tell(CHAT, await trial.exchange("one"))

    assert listener.events == []
    assert trial.audience.chats_of(OWNER) == []


class FalteringSignals:
    """Signals over which what was published can be lost, and that can be out of reach."""

    def __init__(self) -> None:
        self.down = anyio.Event()
        self.subscribed = 0
        self.send, self.receive = anyio.create_memory_object_stream[Signal](10)

    async def publish(self, channel: str, payload: Mapping[str, Any]) -> int:
        raise StoreUnavailable("gone")

    @asynccontextmanager
    async def subscribe(self, channel: str) -> AsyncIterator[AsyncIterator[Signal]]:
        self.subscribed += 1
        yield self._signals()

    async def _signals(self) -> AsyncIterator[Signal]:
        async for signal in self.receive:
            if signal.sequence < 0:
                raise StoreUnavailable("gone")
            yield signal


@asynccontextmanager
async def listening(trial: Trial) -> AsyncIterator[tuple[FalteringSignals, Listener]]:
    """A socket on the chat, on a server that listens for others."""
    signals = FalteringSignals()
    panel = SimpleNamespace(sessions=SimpleNamespace(signals=signals))
    replicas = Replicas(cast("Panel", panel), trial.audience, logging.getLogger("trial"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(replicas.run)
        await anyio.wait_all_tasks_blocked()
        async with replicas.heard(OWNER):
            _, listener = await trial.member()
            yield signals, listener
        tasks.cancel_scope.cancel()
    signals.send.close()
    signals.receive.close()


async def until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not true():
            await anyio.sleep(0.01)


async def test_a_signal_of_another_server_is_followed_up(trial: Trial) -> None:
    async with listening(trial) as (signals, listener):
        await trial.exchange("one")
        await signals.send.send(Signal(7, {"from": "another", "chat": CHAT}))
        await until(lambda: listener.said() == [["one", "re one"]])


async def test_a_gap_in_the_signals_makes_every_chat_be_read_again(trial: Trial) -> None:
    async with listening(trial) as (signals, listener):
        await signals.send.send(Signal(7, {"from": "another", "chat": "elsewhere"}))
        await trial.exchange("missed")
        await signals.send.send(Signal(9, {"from": "another", "chat": "elsewhere"}))
        await until(lambda: listener.said() == [["missed", "re missed"]])


async def test_after_the_signals_were_out_of_reach_every_chat_is_read_again(trial: Trial) -> None:
    async with listening(trial) as (signals, listener):
        await trial.exchange("missed")
        await signals.send.send(Signal(-1, {}))
        await until(lambda: listener.said() == [["missed", "re missed"]])
        assert signals.subscribed == 2


class TestTransport(TransportSuite):
    """The promises that every transport makes."""

    @pytest.fixture
    def transport(self) -> ChatApp:
        site = Site("transport.1", "chat_app", logging.getLogger("chat_app"))
        transport = make_transport(ChatAppOptions(), site)
        assert isinstance(transport, ChatApp)
        return transport

    @pytest.fixture
    def panel(self) -> Panel:
        metrics = SimpleNamespace(gauge=_metric, counter=_metric, histogram=_metric)
        return cast("Panel", SimpleNamespace(sessions=Trial().sessions, metrics=metrics))


def _metric(name: str, text: str, labels: object) -> None:
    return None
