"""Calls over a real socket whose providers die in the middle of a turn: the next ones go on."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from websockets.asyncio.client import connect

from tests.server_process import ServerProcess
from tests.transports.switchboard import Phone

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

TROUBLES: Final = ("stall", "unavailable", "unauthorized", "garbage", "crash")
COMMON: Final = """
[llm]
use = "echo"
[stt]
use = "scripted"
options.transcripts = ["one two three"]
[tts]
use = "tone"
options.character_ms = 20
[limits]
enabled = false
[call]
failover_seconds = 0.3
[timeouts]
cooldown_seconds = 300
[[transport]]
use = "voice_socket"
[[extension]]
use = "chaos"
"""
NAMED: Final = """
[llm.named.{do}]
use = "echo"
options.prefix = "First, {do}: "
[[llm.named.{do}.fallback]]
use = "echo"
options.prefix = "You said: "

[stt.named.{do}]
use = "scripted"
options.transcripts = ["never heard, {do}"]
[[stt.named.{do}.fallback]]
use = "scripted"
options.transcripts = ["one two three"]

[tts.named.{do}]
use = "tone"
options.character_ms = 21.5
options.rate_hz = 16000
[[tts.named.{do}.fallback]]
use = "tone"
options.character_ms = 20

[[extension.options.rules]]
section = "*.named.{do}"
do = "{do}"
"""
NOISE: Final = bytes(range(256)) * 125
CHARACTER_BYTES: Final = 960


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("failover")
    (folder / "jackfield.toml").write_text(COMMON + "".join(NAMED.format(do=do) for do in TROUBLES))
    with ServerProcess(folder, ["--port", "0"], os.environ) as server:
        yield server


@asynccontextmanager
async def ringing(server: ServerProcess) -> AsyncIterator[Phone]:
    url = server.url.replace("http", "ws", 1)
    async with connect(f"{url}/voice", proxy=None) as connection:
        yield Phone(connection)


async def spoken_answer(phone: Phone) -> tuple[dict[str, Any], int, list[str]]:
    """Say something; gives how the answer ended, the bytes of its sound, and what went wrong."""
    await phone.say("speech.start")
    for start in range(0, len(NOISE), 640):
        await phone.connection.send(NOISE[start : start + 640])
    await phone.say("speech.end")
    sound, errors = 0, list[str]()
    while True:
        message = await phone.next()
        if isinstance(message, bytes):
            sound += len(message)
        elif message["type"] == "error":
            errors.append(message["code"])
        elif message["type"] == "reply.finished":
            return message, sound, errors


@pytest.mark.parametrize("do", TROUBLES)
async def test_a_call_goes_on_with_the_next_of_each_kind(server: ServerProcess, do: str) -> None:
    async with ringing(server) as phone:
        await phone.start(turns="explicit", llm=do, stt=do, tts=do)
        finished, sound_bytes, errors = await spoken_answer(phone)

    answer = "You said: one two three"
    assert (finished["text"], finished["outcome"]) == (answer, "ok")
    assert errors == []
    assert sound_bytes == pytest.approx(len(answer) * CHARACTER_BYTES, rel=0.05)
    sections = set(re.findall(rf"takes over from (\w+)\.named\.{do} ", server.output()))
    assert sections == {"llm", "stt", "tts"}


async def test_a_call_without_chains_is_spared(server: ServerProcess) -> None:
    async with ringing(server) as phone:
        await phone.start(turns="explicit")
        finished, _, errors = await spoken_answer(phone)
    assert (finished["text"], errors) == ("one two three", [])


def test_the_log_warns_that_chaos_is_on(server: ServerProcess) -> None:
    assert "chaos is on: providers fail on purpose" in server.output()
