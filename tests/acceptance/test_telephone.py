"""People's voices on telephones, with examples/speech-assistant-telephone.toml: in real time, in mu-law."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import sqlite3
import textwrap
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
import httpx
import jiwer
import pytest

from jackfield import Site
from jackfield.audio.mulaw import RATE_HZ, decode_mulaw, encode_mulaw
from jackfield.audio.resample import resample
from jackfield.contracts.stt import TranscriptionSettings
from jackfield.models import is_fetched
from jackfield_stt_faster_whisper import FasterWhisperOptions, FasterWhisperSTT, make_stt
from tests.acceptance.offline import MODELS
from tests.server_process import ServerProcess
from tests.transports.twilio_api import TwilioApi, twilio_api
from tests.transports.twilio_phone import ACCOUNT, FRAME_BYTES, NUMBER, TOKEN, Line, Twilio, read_twiml
from tests.voices import recording, words

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

ROOT: Final = Path(__file__).parents[2]
EXAMPLE: Final = ROOT / "examples" / "speech-assistant-telephone.toml"
PAGE: Final = ROOT / "docs" / "speech-assistant.md"
COMMAND: Final = re.compile(r"^   ```sh\n(.*?)^   ```$", re.MULTILINE | re.DOTALL)
"""Of a step of a list."""
MISSING: Final = [program for program in ("curl", "openssl") if shutil.which(program) is None]
PUBLIC_URL: Final = "https://phone.example.org"
ENVIRONMENT: Final = {
    "PUBLIC_URL": PUBLIC_URL,
    "TWILIO_ACCOUNT_SID": ACCOUNT,
    "TWILIO_AUTH_TOKEN": TOKEN,
    "TWILIO_PHONE_NUMBER": "+18005551212",
    "API_TOKEN": "the-token-of-those-who-call-32-ch",
}
FOR_TESTS: Final = """
calls.api_url = "{api}"
[scenarios.storyteller]
instructions = "Tell a long story."
greeting = ""
"""
HEARING_HZ: Final = 16_000
QUESTION: Final = ("two_cities", 1.1, 4.8)
"""Recording, and from and to which second."""
INTERRUPTION: Final = ("endgame_nagg_nell", 20.0, 22.1)
MOST_WORD_ERRORS: Final = 0.25
MOST_OF_THE_VOICE: Final = 0.5
"""Of the server's own voice on the line, at some words of which the small recogniser guesses."""
MOST_WORDS_LOST: Final = 4
"""How far in a sentence its voice had come is told from the time that all of it takes."""
SHOWN_S: Final = 60.0


@dataclass(frozen=True)
class House:
    """The server of the example, and what stands around it."""

    server: ServerProcess
    database: Path
    api: TwilioApi
    stt: FasterWhisperSTT

    @asynccontextmanager
    async def called(self, scenario: str) -> AsyncIterator[Line]:
        """Somebody calls, and holds the line."""
        async with httpx.AsyncClient(base_url=self.server.url) as client:
            twilio = Twilio(httpx.URL(self.server.url).port or 0, PUBLIC_URL, client)
            async with (
                twilio.call(f"/incoming-call/{scenario}") as line,
                anyio.create_task_group() as tasks,
            ):
                tasks.start_soon(line.talk)
                yield line
                await line.stop()

    async def typed(self, command: str) -> str:
        """Type a command into a shell, in which no proxy is needed to reach the server."""
        command = command.replace('curl -s "$PUBLIC_URL', f'curl -s "{self.server.url}')
        command = command.replace("http://localhost:5050", self.server.url)
        shell = await anyio.run_process(["bash", "-c", command], env={**os.environ, **ENVIRONMENT})
        return shell.stdout.decode()

    async def until_stored(self, messages: int) -> list[str]:
        """Wait until the latest conversation has so many messages in the database; gives their texts."""
        with anyio.fail_after(SHOWN_S):
            while len(found := self._stored()) < messages:
                await anyio.sleep(0.05)
        return found

    def _stored(self) -> list[str]:
        with sqlite3.connect(self.database) as database:
            rows = database.execute("SELECT messages FROM windows ORDER BY expires_at_ms DESC").fetchall()
        return [message[0] for message in json.loads(rows[0][0])] if rows else []

    async def understood(self, mulaw: bytes) -> str:
        """What somebody understands who hears a telephone."""
        pcm = resample(decode_mulaw(mulaw), RATE_HZ, HEARING_HZ)
        return plain((await self.stt.recognize(pcm, TranscriptionSettings())).text)


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    missing = [name for name in MODELS if not is_fetched(name)]
    if missing and not os.environ.get("CI"):
        pytest.skip(f"Needs models: jackfield models fetch {' '.join(missing)}")
    folder = tmp_path_factory.mktemp("telephone")
    site = Site("stt", "faster_whisper", logging.getLogger(__name__))
    async with twilio_api() as api, make_stt(FasterWhisperOptions(threads=1), site) as stt:
        stored = 'use = "sql"\noptions.url = "sqlite:///talk.db"'
        text = EXAMPLE.read_text().replace('use = "memory"', stored) + FOR_TESTS.format(api=api.url)
        (folder / "telephone.toml").write_text(text)
        arguments = ["telephone.toml", "--port", "0"]
        with ServerProcess(folder, arguments, {**os.environ, **ENVIRONMENT}) as server:
            yield House(server, folder / "talk.db", api, stt)


def plain(text: str) -> str:
    return words(text).replace("'", "")


def spoken(name: str, begin_s: float, end_s: float) -> list[bytes]:
    """Frames of a part of a recording as a telephone has it, the first of them with voice."""
    pcm = recording(name, RATE_HZ)[round(begin_s * RATE_HZ) * 2 : round(end_s * RATE_HZ) * 2]
    size = FRAME_BYTES * 2
    frames = [pcm[at : at + size] for at in range(0, len(pcm) - size + 1, size)]
    peaks = [max(map(abs, array("h", frame))) for frame in frames]
    first = next(at for at, peak in enumerate(peaks) if peak > max(peaks) / 10)
    return [encode_mulaw(frame) for frame in frames[first:]]


async def until_played(line: Line, seconds: float) -> None:
    """Wait until so much was heard, as far as marks tell."""
    with anyio.fail_after(SHOWN_S):
        while line.marked_bytes < seconds * RATE_HZ:
            await anyio.sleep(0.01)


async def until_silent(line: Line) -> None:
    """Wait until something was said, and nothing more for a while."""
    await until_played(line, 0.5)
    played = -1
    while played < len(line.played):
        played = len(line.played)
        await anyio.sleep(0.5)


@pytest.mark.contract("SA-13", "SA-38")
async def test_a_caller_is_greeted_and_answered_in_speech_that_says_the_text(house: House) -> None:
    async with house.called("default") as line:
        await until_silent(line)
        greeted = len(line.played)
        line.mouth.extend(spoken(*QUESTION))
        greeting, question, answer = await house.until_stored(3)
    sound = bytes(line.played)

    assert greeting == "Hello! How can I help you?"
    assert "help" in await house.understood(sound[:greeted])
    assert jiwer.wer("it was the best of times it was the worst of times", plain(question)) < MOST_WORD_ERRORS
    assert plain(answer)
    assert jiwer.wer(plain(answer), await house.understood(sound[greeted:])) < MOST_OF_THE_VOICE
    assert line.clears == 0


@pytest.mark.contract("SA-16")
async def test_a_caller_who_speaks_into_an_answer_silences_it_and_it_is_kept_as_far_as_it_was_heard(
    house: House,
) -> None:
    async with house.called("storyteller") as line:
        line.mouth.extend(spoken(*QUESTION))
        await until_played(line, 3)
        line.mouth.extend(spoken(*INTERRUPTION))
        with anyio.fail_after(5):
            while not line.clears:
                await anyio.sleep(0.005)
        silenced_s = line.cleared_s - line.spoke_s
        heard = bytes(line.played[: line.marked_bytes])
        await until_played(line, (len(heard) + 1) / RATE_HZ)  # of the next answer
        _, answer, *_ = await house.until_stored(2)

    assert silenced_s <= 0.2
    told, kept = (await house.understood(heard)).split(), plain(answer).split()
    assert -1 <= len(told) - len(kept) <= MOST_WORDS_LOST
    assert jiwer.wer(" ".join(kept), " ".join(told[: len(kept)])) < MOST_OF_THE_VOICE


@pytest.mark.contract("SA-14", "SA-44")
@pytest.mark.skipif(MISSING != [], reason=f"missing: apt-get install {' '.join(MISSING)}")
async def test_the_commands_of_the_page_ask_the_webhook_and_call_a_telephone(house: House) -> None:
    ask, dial = (textwrap.dedent(block) for block in COMMAND.findall(PAGE.read_text()))
    asked, called, refused = [
        await house.typed(command) for command in (ask, dial, dial.replace("$API_TOKEN", "another"))
    ]

    assert read_twiml(asked)[0] == "wss://phone.example.org/media-stream/default"
    assert json.loads(called)["call_sid"]
    assert json.loads(refused)["code"] == "not_authenticated"
    (form,) = house.api.made
    assert (form["To"], form["From"]) == (NUMBER, ENVIRONMENT["TWILIO_PHONE_NUMBER"])
    assert form["Url"].startswith(f"{PUBLIC_URL}/incoming-call/opening_hours?")
