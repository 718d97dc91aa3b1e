"""People's voices in a live call with the default configuration: in real time, turns found by the server."""

from __future__ import annotations

import json
import logging
import re
from collections import deque
from dataclasses import dataclass, field
from typing import Final

import anyio
import jiwer
import pytest
from websockets.asyncio.client import ClientConnection, connect

from jackfield import Site
from jackfield.audio.resample import resample
from jackfield.contracts.stt import TranscriptionSettings
from tests.acceptance.offline import OfflineServer
from tests.voices import recording, words

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

IN_HZ: Final = 16_000
OUT_HZ: Final = 24_000
FRAME_S: Final = 0.02
FRAME_BYTES: Final = int(IN_HZ * FRAME_S) * 2
PAUSE_S: Final = 0.5
MOST_WORD_ERRORS: Final = 0.15
SPOKEN: Final = (
    ("two_cities", 1.1, 4.8, "It was the best of times, it was the worst of times."),
    ("two_cities", 4.9, 6.4, "It was the age of wisdom."),
    ("two_cities", 17.4, 20.7, "It was the spring of hope, it was the winter of despair."),
    ("two_cities", 21.1, 24.2, "We had everything before us, we had nothing before us."),
    ("endgame_nagg_nell", 20.3, 22.1, "I thought you were in pain."),
)
"""Recording, from and to which second, and what is said there, without a pause that would end a turn."""
NUMBERS: Final = {"1": "one", "2": "two", "3": "three", "4": "four", "5": "five", "6": "six"}


@dataclass
class Answer:
    """What the caller notices of one turn."""

    transcript: str = ""
    text: str = ""
    outcome: str = ""
    sound: bytearray = field(default_factory=bytearray)
    events: list[str] = field(default_factory=list)


class Caller:
    """Somebody with a microphone that sends all the time."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._waiting: deque[bytes] = deque()
        self._answer = Answer()
        self._finished = anyio.Event()

    async def microphone(self) -> None:
        due_s = anyio.current_time()
        while True:
            await self._socket.send(self._waiting.popleft() if self._waiting else bytes(FRAME_BYTES))
            due_s += FRAME_S
            await anyio.sleep_until(due_s)

    async def listen(self) -> None:
        async for message in self._socket:
            answer = self._answer
            if isinstance(message, bytes):
                answer.sound += message
                continue
            event = json.loads(message)
            answer.events.append(event["type"])
            if event["type"] == "transcript":
                answer.transcript = event["text"]
            elif event["type"] == "reply.finished":
                answer.text, answer.outcome = event["text"], event["outcome"]
                self._finished.set()

    async def say(self, pcm: bytes) -> Answer:
        self._answer, self._finished = Answer(), anyio.Event()
        frames = range(0, len(pcm) - FRAME_BYTES + 1, FRAME_BYTES)
        self._waiting.extend(pcm[at : at + FRAME_BYTES] for at in frames)
        with anyio.fail_after(60):
            await self._finished.wait()
        await anyio.sleep(PAUSE_S)
        return self._answer


async def talk(server: OfflineServer) -> list[Answer]:
    """Say everything in one call, each after the answer before."""
    url = server.url.replace("http", "ws", 1) + "/voice"
    async with connect(url, proxy=None) as socket, anyio.create_task_group() as tasks:
        await socket.send('{"type": "start", "turns": "auto", "greet": false}')
        assert json.loads(await socket.recv())["type"] == "started"
        caller = Caller(socket)
        tasks.start_soon(caller.microphone)
        tasks.start_soon(caller.listen)
        answers = []
        for name, begin_s, end_s, _ in SPOKEN:
            pcm = recording(name, IN_HZ)
            answers.append(await caller.say(pcm[int(begin_s * IN_HZ) * 2 : int(end_s * IN_HZ) * 2]))
        tasks.cancel_scope.cancel()
    return answers


def plain(text: str) -> str:
    """Words, with small numbers written out as the recogniser may or may not do."""
    return words(re.sub(r"\b[1-6]\b", lambda digit: NUMBERS[digit[0]], text))


async def test_people_are_answered_in_speech_that_says_the_text(offline: OfflineServer) -> None:
    from jackfield_stt_faster_whisper import FasterWhisperOptions, make_stt

    answers = await talk(offline)
    site = Site("stt", "faster_whisper", logging.getLogger(__name__))
    async with make_stt(FasterWhisperOptions(threads=1), site) as stt:
        heard = [
            (await stt.recognize(resample(bytes(answer.sound), OUT_HZ, IN_HZ), TranscriptionSettings())).text
            for answer in answers
        ]

    said = [plain(text) for *_, text in SPOKEN]
    assert [answer.outcome for answer in answers] == ["ok"] * len(SPOKEN)
    assert all(answer.events.count("speech.stopped") == 1 for answer in answers)
    assert jiwer.wer(said, [plain(answer.transcript) for answer in answers]) < MOST_WORD_ERRORS
    told = [plain(answer.text) for answer in answers]
    assert all(told)
    assert jiwer.wer(told, [plain(text) for text in heard]) < MOST_WORD_ERRORS, (told, heard)
