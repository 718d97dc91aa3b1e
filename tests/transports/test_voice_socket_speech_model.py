"""Calls over a real socket with a speech-to-speech model: the real plugin, and a server of its protocol."""

from __future__ import annotations

import os
import wave
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.plugins.realtime.openai_realtime_server import KEY, LETTER_S, RealtimeServer
from tests.server_process import ServerProcess
from tests.transports.switchboard import Phone

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

QUESTION: Final = Path(__file__).parents[2] / "examples" / "question.wav"
ANSWER: Final = "You said: What is the capital of Japan?"
CONFIG: Final = """
[llm]
use = "echo"
[realtime]
use = "openai"
options.base_url = "{url}"
options.api_key = "{key}"
[call]
pipeline = "realtime"
[limits]
enabled = false
[[transport]]
use = "voice_socket"
"""


@pytest.fixture(scope="module")
def server(house: RealtimeServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("speech-model")
    (folder / "jackfield.toml").write_text(CONFIG.format(url=house.url, key=KEY))
    with ServerProcess(folder, ["--port", "0"], os.environ) as server:
        yield server


@asynccontextmanager
async def ringing(server: ServerProcess, **start: Any) -> AsyncIterator[Phone]:
    url = server.url.replace("http", "ws", 1)
    async with connect(f"{url}/voice", proxy=None) as connection:
        phone = Phone(connection)
        await phone.start(**start)
        yield phone


async def say(phone: Phone, begin_s: float = 0.0, end_s: float | None = None) -> None:
    """Say a part of the recorded question, and after its end be silent."""
    with wave.open(str(QUESTION)) as recording:
        pcm = recording.readframes(recording.getnframes())
    pcm += bytes(2 * 16_000)
    begin, end = (None if at_s is None else 2 * round(16_000 * at_s) for at_s in (begin_s, end_s))
    for at in range(begin or 0, end or len(pcm), 6400):
        await phone.connection.send(pcm[at : at + 6400])


async def until(phone: Phone, kind: str) -> tuple[dict[str, Any], bytes, list[dict[str, Any]]]:
    """Read to a message of that type; gives it, the sound before it, and all other messages."""
    sound, others = bytearray(), list[dict[str, Any]]()
    with anyio.fail_after(20):
        while True:
            message = await phone.next()
            if isinstance(message, bytes):
                sound += message
            elif message["type"] == kind:
                return message, bytes(sound), others
            else:
                others.append(message)


async def test_a_recorded_question_is_answered_in_sound_and_words(
    server: ServerProcess, model: RealtimeServer
) -> None:
    async with ringing(server) as phone:
        await say(phone)
        finished, sound, others = await until(phone, "reply.finished")
    kinds = [message["type"] for message in others]
    assert (finished["text"], finished["outcome"]) == (ANSWER, "ok")
    assert any(sound)
    assert len(sound) / 48_000 == pytest.approx(len(ANSWER) * LETTER_S, abs=0.1)
    assert kinds[:2] == ["speech.started", "speech.stopped"]
    heard = [message for message in others if message["type"] == "transcript" and message["final"]]
    assert [message["text"] for message in heard] == ["What is the capital of Japan?"]
    shown = "".join(message["text"] for message in others if message["type"] == "reply.text")
    assert shown == ANSWER


async def test_speech_interrupts_and_what_was_heard_is_what_it_remembers(
    server: ServerProcess, model: RealtimeServer
) -> None:
    model.script.hears = ["Tell me a story. " * 8, "What is the capital of Japan?"]
    async with ringing(server, session_id="interrupted") as phone:
        await say(phone)
        await until(phone, "reply.started")
        await anyio.sleep(1)
        await say(phone, end_s=1)  # nobody can finish a question before the answer has given way
        interrupted, _, _ = await until(phone, "reply.finished")
        await say(phone, begin_s=1)
        finished, _, _ = await until(phone, "reply.finished")
        await phone.say("stop")
        await until(phone, "ended")
    assert interrupted["outcome"] == "interrupted"
    assert 0 < len(interrupted["text"]) < 100
    assert finished["text"] == ANSWER
    assert 0 < model.of_type("conversation.item.truncate")[0]["audio_end_ms"] < 4000
    model.reset()
    async with ringing(server, session_id="interrupted") as phone:
        await phone.say("text", text="And now?")
        await until(phone, "reply.finished")
    told = [event["item"]["content"][0]["text"] for event in model.of_type("conversation.item.create")]
    assert told[1] == interrupted["text"]
    assert told[2:] == ["What is the capital of Japan?", ANSWER, "And now?"]


async def test_a_lost_connection_is_replaced(server: ServerProcess, model: RealtimeServer) -> None:
    model.script.drops = True
    async with ringing(server) as phone:
        await phone.say("text", text="What is the capital of Japan?")
        trouble, _, _ = await until(phone, "error")
        assert trouble["code"] == "llm_failed"
        await phone.say("text", text="Once more.")
        while not (await until(phone, "reply.finished"))[0]["text"].endswith("Once more."):
            pass


async def test_a_service_that_wants_no_more_requests_ends_the_call(
    server: ServerProcess, model: RealtimeServer
) -> None:
    model.script.refuses, model.script.retry_after_s = 429, 60
    async with ringing(server) as phone:
        trouble, _, _ = await until(phone, "error")
        with pytest.raises(ConnectionClosed) as caught:
            await until(phone, "never")
    assert trouble["code"] == "llm_failed"
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1011
    assert KEY not in server.output()
