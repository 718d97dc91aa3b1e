"""Connections that are lost at any moment of a call: nothing of the call is left behind."""

from __future__ import annotations

import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import anyio
import pytest
from websockets.asyncio.client import ClientConnection

from jackfield.testing.leaks import Running, left_running
from tests.transports.switchboard import Phone
from tests.transports.trouble import SILENCE, SPEECH, Exchange, exchange, hear, speak

pytestmark = pytest.mark.anyio

Drop = Callable[[ClientConnection], Awaitable[None]]
Moment = Callable[[Exchange, Phone], Awaitable[None]]
_LONGEST_S: Final = 3.0


@pytest.fixture
async def lines() -> AsyncIterator[Exchange]:
    async with exchange() as lines:
        yield lines


async def cut(connection: ClientConnection) -> None:
    """The cable: what was not sent is lost, and the other side gets a reset."""
    connection.transport.abort()


async def vanish(connection: ClientConnection) -> None:
    """The program ends: its side of the connection is closed without a word."""
    connection.transport.close()


async def say_goodbye(connection: ClientConnection) -> None:
    await connection.close()


async def before_start(lines: Exchange, phone: Phone) -> None:
    """The socket is open, and nothing was said."""


async def right_after_start(lines: Exchange, phone: Phone) -> None:
    await phone.say("start", turns="explicit")


async def in_silence(lines: Exchange, phone: Phone) -> None:
    await phone.start()
    await phone.connection.send(SILENCE * 10)


async def in_the_middle_of_speech(lines: Exchange, phone: Phone) -> None:
    await phone.start()
    await speak(phone)
    await phone.hear("speech.started")


async def while_the_recogniser_works(lines: Exchange, phone: Phone) -> None:
    lines.parts.stt.mood = "hangs"
    await ask(phone)
    await lines.parts.stt.entered.wait()


async def while_the_model_thinks(lines: Exchange, phone: Phone) -> None:
    lines.parts.llm.mood = "hangs"
    await ask(phone)
    await lines.parts.llm.entered.wait()


async def while_an_answer_is_prepared_that_may_not_be_needed(lines: Exchange, phone: Phone) -> None:
    lines.parts.llm.mood = "hangs"
    await phone.start()
    await phone.connection.send(SPEECH * 15 + SILENCE * 10)
    await lines.parts.llm.entered.wait()


async def while_the_voice_prepares(lines: Exchange, phone: Phone) -> None:
    lines.parts.tts.mood = "hangs"
    await ask(phone)
    await hear(phone, "reply.text")


async def while_the_answer_sounds(lines: Exchange, phone: Phone) -> None:
    lines.parts.tts.mood = "slow"
    await ask(phone)
    while not isinstance(await phone.next(), bytes):
        pass


async def while_the_answer_sounds_and_the_model_writes(lines: Exchange, phone: Phone) -> None:
    lines.parts.llm.mood = lines.parts.tts.mood = "slow"
    await ask(phone)
    await hear(phone, "reply.text")


async def while_an_apology_sounds(lines: Exchange, phone: Phone) -> None:
    lines.parts.stt.mood = "hangs"  # the log would keep the traceback of a failure, and that the call
    await ask(phone)
    while not isinstance(await phone.next(), bytes):
        pass


async def while_the_answer_is_stored(lines: Exchange, phone: Phone) -> None:
    lines.parts.store.moody.mood = "slow"
    await ask(phone)
    await hear(phone)
    await lines.parts.store.moody.entered.wait()


async def after_the_answer(lines: Exchange, phone: Phone) -> None:
    await ask(phone)
    await hear(phone)


async def ask(phone: Phone) -> None:
    await phone.start(turns="explicit", session_id="again")
    await speak(phone)
    await phone.say("speech.end")


MOMENTS: Final = (
    before_start,
    right_after_start,
    in_silence,
    in_the_middle_of_speech,
    while_the_recogniser_works,
    while_the_model_thinks,
    while_an_answer_is_prepared_that_may_not_be_needed,
    while_the_voice_prepares,
    while_the_answer_sounds,
    while_the_answer_sounds_and_the_model_writes,
    while_an_apology_sounds,
    while_the_answer_is_stored,
    after_the_answer,
)


def call_objects() -> list[str]:
    """What calls are made of and is still there."""
    gc.collect()
    rooms = ("jackfield.dialogue.call.", "jackfield_transport_voice_socket.")
    shared = {"Phrases", "SpeechWindows", "CallFactory", "CallService", "VoiceSocket", "_Endpoint"}
    kinds = [type(each) for each in gc.get_objects()]
    places = [(str(kind.__module__), kind.__name__) for kind in kinds]  # which some libraries compute
    return sorted(name for module, name in places if module.startswith(rooms) and name not in shared)


@pytest.mark.parametrize("drop", [cut, vanish, say_goodbye])
@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_connection_that_is_lost_leaves_nothing_behind(
    lines: Exchange, moment: Moment, drop: Drop, caplog: pytest.LogCaptureFixture
) -> None:
    before, constants = Running.now(), call_objects()
    async with lines.phone() as phone:
        with anyio.fail_after(_LONGEST_S):
            await moment(lines, phone)
        caplog.clear()  # a provider in trouble is told of
        await drop(phone.connection)
    lines.parts.store.well.set()
    left = await left_running(before)
    figures = await lines.calls()

    assert left == []
    assert lines.parts.used_by() == {}
    assert figures == 0
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert call_objects() == constants


async def test_an_answer_that_was_heard_is_stored_though_the_caller_has_gone_meanwhile(
    lines: Exchange,
) -> None:
    async with lines.phone() as phone:
        await while_the_answer_is_stored(lines, phone)
        await say_goodbye(phone.connection)  # returns when the server has taken note
    await anyio.wait_all_tasks_blocked()
    lines.parts.store.well.set()
    async with lines.phone() as phone:
        await ask(phone)
        await hear(phone)
    prompt = lines.parts.llm.requests[-1]

    assert [message.content for message in prompt.messages if message.role != "system"] == [
        "will it rain",
        "You said: will it rain",
        "will it rain",
    ]
