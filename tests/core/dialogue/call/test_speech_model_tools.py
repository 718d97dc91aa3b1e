"""Tools that a speech-to-speech model calls in a call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from jackfield.contracts.llm import ToolCall, ToolSpec
from jackfield.contracts.realtime import RealtimeText, RealtimeUsage
from jackfield.contracts.tools import ToolContext
from jackfield.contracts.turn import ToolFinished, ToolStarted
from jackfield.errors import ProviderUnavailable
from jackfield.testing import VirtualClock
from tests.core.dialogue.call.duet import Duet
from tests.core.dialogue.call.duet_talk import exchange, lost

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


class Clock:
    spec = ToolSpec("clock", "Tells the time.")

    async def call(self, arguments: object, context: ToolContext) -> str:
        return "half past nine"


async def test_a_tool_is_called_for_the_model(tmp_path: Path) -> None:
    duet = Duet()
    house = exchange(tmp_path, duet, tools=[Clock()])
    async with house.call() as talk:
        assert [tool.name for tool in duet.now.settings.tools] == ["clock"]
        duet.now.hear("What time is it?")
        duet.now.tell(ToolCall("call-1", "clock", "{}"))
        await anyio.sleep(0.1)
        duet.now.speak("a", "It is half past nine.", 1)
        await talk.answered()
    assert duet.now.results == [("call-1", "half past nine")]
    assert len(talk.leg.events(ToolStarted)) == 1
    assert [event.ok for event in talk.leg.events(ToolFinished)] == [True]


class SlowClock(Clock):
    async def call(self, arguments: object, context: ToolContext) -> str:
        await anyio.sleep(1)
        return await super().call(arguments, context)


async def test_an_interruption_while_a_tool_works_is_told_to_the_model(tmp_path: Path) -> None:
    duet = Duet()
    async with exchange(tmp_path, duet, tools=[SlowClock()]).call() as talk:
        duet.now.hear("What time is it?")
        duet.now.tell(ToolCall("call-1", "clock", "{}"), RealtimeUsage(20, 30))
        await anyio.sleep(0.1)
        assert duet.now.interrupted == []
        talk.call.interrupt()
        await anyio.sleep(2)
        assert duet.now.interrupted == [0]
        assert duet.now.results == [("call-1", "half past nine")]


async def test_the_answer_that_follows_a_tool_can_be_interrupted_before_it_begins(tmp_path: Path) -> None:
    duet = Duet()
    async with exchange(tmp_path, duet, tools=[SlowClock()]).call() as talk:
        duet.now.hear("What time is it?")
        duet.now.speak("a", "One moment.", 0.2, done=False)
        duet.now.tell(RealtimeText("a", "", done=True), ToolCall("call-1", "clock", "{}"))
        duet.now.tell(RealtimeUsage(20, 30))
        await anyio.sleep(2)
        assert (duet.now.results, duet.now.interrupted) == ([("call-1", "half past nine")], [])
        talk.call.interrupt()
        await anyio.sleep(0.1)
        assert duet.now.interrupted == [200]


async def test_a_call_with_a_tool_that_was_interrupted_is_idle(tmp_path: Path) -> None:
    class Sleeper(Clock):
        async def call(self, arguments: object, context: ToolContext) -> str:
            await anyio.sleep(25)
            return await super().call(arguments, context)

    duet = Duet()
    idle = {"call": {"pipeline": "realtime", "idle_seconds": 20}}
    async with exchange(tmp_path, duet, tools=[Sleeper()], config=idle).call() as talk:
        duet.now.hear("What time is it?")
        duet.now.tell(ToolCall("call-1", "clock", "{}"), RealtimeUsage(20, 30))
        await anyio.sleep(0.1)
        talk.call.interrupt()
        began_s = anyio.current_time()
        await lost(talk)
        assert anyio.current_time() - began_s < 22


async def test_the_result_of_a_tool_is_for_the_session_that_asked(tmp_path: Path) -> None:
    duet = Duet()
    async with exchange(tmp_path, duet, tools=[SlowClock()]).call():
        duet.now.hear("What time is it?")
        duet.now.tell(ToolCall("call-1", "clock", "{}"), RealtimeUsage(20, 30))
        await anyio.sleep(0.1)
        duet.now.tell(ProviderUnavailable("gone"))
        await anyio.sleep(2)
        assert duet.now.injected == ["What time is it?"]
        assert [session.results for session in duet.sessions] == [[], []]
