"""Telephones with a speech-to-speech model: the real plugin, and a server of its protocol."""

from __future__ import annotations

import itertools
import os
import wave
from array import array
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio
import httpx
import pytest

from jackfield.audio.mulaw import RATE_HZ, decode_mulaw, encode_mulaw
from jackfield.audio.resample import resample
from tests.plugins.realtime.openai_realtime_server import KEY, LETTER_S, RealtimeServer
from tests.server_process import ServerProcess
from tests.transports.twilio_phone import FRAME_BYTES, TOKEN, Line, Twilio

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

QUESTION: Final = Path(__file__).parents[2] / "examples" / "question.wav"
ANSWER: Final = "You said: What is the capital of Japan?"
VOICE_HZ: Final = 400
"""Of the model's voice."""
PUBLIC_URL: Final = "https://phone.example.org"
CONFIG: Final = f"""
[server]
public_url = "{PUBLIC_URL}"
[llm]
use = "echo"
[realtime]
use = "openai"
options.base_url = "%s"
options.api_key = "{KEY}"
[call]
pipeline = "realtime"
[limits]
enabled = false
[[transport]]
use = "speech_assistant"
options.telephone.auth_token = "{TOKEN}"
"""


@pytest.fixture(scope="module")
def server(house: RealtimeServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("telephone-speech-model")
    (folder / "jackfield.toml").write_text(CONFIG % house.url)
    with ServerProcess(folder, ["--port", "0"], os.environ) as server:
        yield server


@asynccontextmanager
async def called(server: ServerProcess) -> AsyncIterator[Line]:
    """Somebody calls, and holds the line."""
    async with httpx.AsyncClient(base_url=server.url) as client:
        twilio = Twilio(httpx.URL(server.url).port or 0, PUBLIC_URL, client)
        async with twilio.call("/incoming-call/default") as line, anyio.create_task_group() as tasks:
            tasks.start_soon(line.talk)
            yield line
            await line.stop()


def question() -> list[bytes]:
    """The recorded question, in frames as a telephone has them."""
    with wave.open(str(QUESTION)) as recording:
        pcm = recording.readframes(recording.getnframes())
        mulaw = encode_mulaw(resample(pcm, recording.getframerate(), RATE_HZ))
    return [mulaw[at : at + FRAME_BYTES] for at in range(0, len(mulaw) - FRAME_BYTES + 1, FRAME_BYTES)]


async def until_played(line: Line, seconds: float) -> None:
    with anyio.fail_after(20):
        while line.marked_bytes < seconds * RATE_HZ:
            await anyio.sleep(0.01)


def pitch_hz(mulaw: bytes) -> float:
    """The pitch of a tone."""
    samples = array("h", decode_mulaw(mulaw))
    rises = sum(before < 0 <= after for before, after in itertools.pairwise(samples))
    return rises * RATE_HZ / len(samples)


@pytest.mark.contract("SA-13", "SA-47")
async def test_a_caller_is_heard_and_answered_in_the_telephones_sound(
    server: ServerProcess, model: RealtimeServer
) -> None:
    async with called(server) as line:
        line.mouth.extend(question())
        await until_played(line, len(ANSWER) * LETTER_S - 0.2)
        held_s, heard_s = anyio.current_time() - line.spoke_s, model.heard_s()
        sound = bytes(line.played)

    assert heard_s == pytest.approx(held_s, abs=0.5)
    assert pitch_hz(sound[:RATE_HZ]) == pytest.approx(VOICE_HZ, rel=0.02)


@pytest.mark.contract("SA-16", "SA-47")
async def test_speech_silences_the_model_which_remembers_what_was_played(
    server: ServerProcess, model: RealtimeServer
) -> None:
    model.script.hears = ["Tell me a story. " * 8, "What is the capital of Japan?"]
    async with called(server) as line:
        line.mouth.extend(question())
        await until_played(line, 1)
        line.mouth.extend(question())
        with anyio.fail_after(5):
            while not line.clears:
                await anyio.sleep(0.005)
        silenced_s, heard_s = line.cleared_s - line.spoke_s, line.marked_bytes / RATE_HZ
        await until_played(line, heard_s + 0.5)  # of the answer to that
    kept_ms = model.of_type("conversation.item.truncate")[0]["audio_end_ms"]

    assert silenced_s <= 0.2
    assert kept_ms / 1000 == pytest.approx(heard_s, abs=0.15)
