"""Calls over a real socket, to a server in a process of its own with parts that need no model."""

from __future__ import annotations

import os
import subprocess
import sys
import wave
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from websockets.asyncio.client import connect

from tests.server_process import ServerProcess
from tests.transports.switchboard import Phone

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

ROOT: Final = Path(__file__).parents[2]
CONFIG: Final = """
[llm]
use = "echo"
options.prefix = "You said: "
[stt]
use = "scripted"
options.transcripts = ["one two three"]
[tts]
use = "tone"
options.character_ms = 20
[session]
use = "memory"
[limits]
enabled = false
[scenarios.host]
title = "Host"
instructions = "You host a show."
[[transport]]
use = "voice_socket"
mount = "/device"
"""
WRITTEN: Final = """
[llm]
use = "echo"
options.prefix = "You said: "
[session]
use = "memory"
[[transport]]
use = "voice_socket"
"""
NOISE: Final = bytes(range(256)) * 125
"""A second of sound at 16 kHz."""
CHARACTER_BYTES: Final = 960
"""Of sound, at 24 kHz, for each character of an answer."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("voice-socket")
    (folder / "jackfield.toml").write_text(CONFIG)
    with ServerProcess(folder, ["--port", "0"], os.environ) as server:
        yield server


@pytest.fixture
async def phone(server: ServerProcess) -> AsyncIterator[Phone]:
    url = server.url.replace("http", "ws", 1)
    async with connect(f"{url}/device/voice", proxy=None) as connection:
        yield Phone(connection)


async def hear_answer(phone: Phone) -> tuple[list[dict[str, Any]], bytes]:
    """Every message up to `reply.finished`, and all sound."""
    messages: list[dict[str, Any]] = []
    sound = bytearray()
    while not messages or messages[-1]["type"] != "reply.finished":
        message = await phone.next()
        if isinstance(message, bytes):
            sound += message
        else:
            messages.append(message)
    return messages, bytes(sound)


def types(messages: list[dict[str, Any]]) -> list[str]:
    return [message["type"] for message in messages if message["type"] != "reply.text"]


def written(messages: list[dict[str, Any]]) -> str:
    return "".join(message["text"] for message in messages if message["type"] == "reply.text")


async def test_a_spoken_turn_is_answered_in_text_and_sound(phone: Phone) -> None:
    await phone.start(turns="explicit")
    await phone.say("speech.start")
    for start in range(0, len(NOISE), 640):
        await phone.connection.send(NOISE[start : start + 640])
    await phone.say("speech.end")
    messages, sound = await hear_answer(phone)

    answer = "You said: one two three"
    assert {"type": "transcript", "text": "one two three", "final": True} in messages
    assert written(messages) == answer
    assert len(sound) == len(answer) * CHARACTER_BYTES
    finished = messages[-1]
    assert (finished["text"], finished["outcome"]) == (answer, "ok")
    assert 0 <= finished["stages"]["first_audio"] < finished["stages"]["played"]
    assert types(messages)[-2:] == ["audio.end", "reply.finished"]


async def test_a_typed_turn_is_answered_in_text_and_sound(phone: Phone) -> None:
    await phone.start(turns="explicit")
    await phone.say("text", text="Hello")
    messages, sound = await hear_answer(phone)

    assert types(messages) == ["reply.started", "audio.end", "reply.finished"]
    assert written(messages) == messages[-1]["text"] == "You said: Hello"
    assert len(sound) == 15 * CHARACTER_BYTES


async def test_a_client_without_sound_reads_the_answer(phone: Phone) -> None:
    await phone.start(audio_in=None, audio_out=None)
    await phone.say("text", text="Hello")
    messages, sound = await hear_answer(phone)

    assert types(messages) == ["reply.started", "reply.finished"]
    assert messages[-1]["text"] == "You said: Hello"
    assert sound == b""


async def test_an_interrupted_answer_is_cleared_and_cut_to_what_was_heard(phone: Phone) -> None:
    await phone.start(turns="explicit")
    await phone.say("text", text="word " * 200)
    while not isinstance(await phone.next(), bytes):
        pass
    await phone.say("interrupt")
    messages, _sound = await hear_answer(phone)

    assert "audio.clear" in types(messages)
    assert messages[-1]["outcome"] == "interrupted"
    assert len(messages[-1]["text"]) < 500


async def test_opus_both_ways_holds_a_conversation(phone: Phone) -> None:
    from jackfield.audio.opus import OpusDecoder, OpusEncoder

    await phone.start(turns="explicit", audio_in={"format": "opus"}, audio_out={"format": "opus"})
    for packet in OpusEncoder(16_000).encode(NOISE):
        await phone.connection.send(packet)
    await phone.say("speech.end")
    decoder, heard = OpusDecoder(), 0
    while True:
        message = await phone.next()
        if isinstance(message, bytes):
            heard += len(decoder.decode(message))
        elif message["type"] == "reply.finished":
            break

    assert heard // 2 / decoder.rate_hz == pytest.approx(23 * 0.02, abs=0.02)


async def test_the_conversation_goes_on_in_a_later_call(server: ServerProcess, phone: Phone) -> None:
    session_id = (await phone.start(turns="explicit", user_id="u"))["session_id"]
    await phone.say("text", text="Hello")
    await hear_answer(phone)
    await phone.say("stop")
    await phone.hear("ended")
    url = server.url.replace("http", "ws", 1)
    async with connect(f"{url}/device/voice", proxy=None) as connection:
        again = Phone(connection)
        await again.start(turns="explicit", user_id="u", session_id=session_id)
        await again.say("text", text="Hello again")
        await hear_answer(again)
    figures = server.client.get("/metrics").text

    assert 'jackfield_sessions_total{transport="voice_socket"}' in figures


@pytest.mark.parametrize(
    ("fields", "code", "close"),
    [
        ({}, "voice_not_configured", 1008),
        ({"turns": "explicit", "scenario": "unknown"}, "scenario_not_found", 4404),
        ({"turns": "explicit", "tts": "unknown"}, "invalid_request", 1008),
    ],
)
async def test_a_start_that_the_server_cannot_serve_is_refused(
    phone: Phone, fields: dict[str, object], code: str, close: int
) -> None:
    await phone.say("start", **fields)

    assert (await phone.refused(code))[0] == close


async def test_another_scenario_can_be_chosen_during_the_call(phone: Phone) -> None:
    await phone.start(turns="explicit")
    await phone.say("scenario", name="host")
    assert (await phone.hear("scenario"))["name"] == "host"

    await phone.say("scenario", name="nobody")
    assert (await phone.hear("error"))["code"] == "scenario_not_found"


async def test_calls_are_counted(server: ServerProcess, phone: Phone) -> None:
    await phone.start(turns="explicit")

    figures = server.client.get("/metrics").text
    assert 'jackfield_calls{transport="voice_socket"} 1.0' in figures


def test_the_example_client_asks_and_saves_the_answer(server: ServerProcess, tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "question.wav"), "wb") as question:
        question.setparams((1, 2, 16_000, 0, "NONE", ""))
        question.writeframes(NOISE[: 640 * 10])
    url = server.url.replace("http", "ws", 1)
    client = ROOT / "examples" / "voice_client.py"
    done = subprocess.run(
        [sys.executable, client, "question.wav", "--url", f"{url}/device/voice", "--save", "answer.wav"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert done.stdout == "You: one two three\nServer: You said: one two three\n"
    with wave.open(str(tmp_path / "answer.wav")) as answer:
        assert answer.getframerate() == 24_000
        assert answer.getnframes() * 2 == 23 * CHARACTER_BYTES


async def test_a_server_that_stops_ends_its_calls_before_it_closes_their_sockets(tmp_path: Path) -> None:
    (tmp_path / "jackfield.toml").write_text(CONFIG)
    with ServerProcess(tmp_path, ["--port", "0"], os.environ) as server:
        url = server.url.replace("http", "ws", 1)
        async with connect(f"{url}/device/voice", proxy=None) as connection:
            phone = Phone(connection)
            await phone.start(turns="explicit")
            await phone.say("text", text="word " * 200)
            while not isinstance(await phone.next(), bytes):
                pass
            server.terminate()
            messages, _sound = await hear_answer(phone)
            ended = await phone.hear("ended")
            code = await phone.closed()

    assert messages[-1]["outcome"] == "interrupted"
    assert len(messages[-1]["text"]) < 500
    assert ended["reason"] == "shutdown"
    assert code == 1001
    assert "(shutdown), session" in server.output()


async def test_a_server_with_a_model_and_no_extra_talks_in_writing(tmp_path: Path) -> None:
    for package in ("av", "numpy", "sentencex"):
        (tmp_path / f"{package}.py").write_text("raise ImportError('not installed')")
    (tmp_path / "jackfield.toml").write_text(WRITTEN)
    with ServerProcess(tmp_path, ["--port", "0"], os.environ) as server:
        url = server.url.replace("http", "ws", 1)
        async with connect(f"{url}/voice", proxy=None) as connection:
            phone = Phone(connection)
            await phone.start(audio_in=None, audio_out=None)
            await phone.say("text", text="Hello")
            messages, sound = await hear_answer(phone)
        async with connect(f"{url}/voice", proxy=None) as connection:
            phone = Phone(connection)
            await phone.say("start", turns="explicit")
            await phone.refused("voice_not_configured")

    assert written(messages) == messages[-1]["text"] == "You said: Hello"
    assert sound == b""
