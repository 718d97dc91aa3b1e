"""The recogniser `openai`, against a server on a real socket that takes the upload apart."""

from __future__ import annotations

import io
import logging
import math
import wave
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes

import anyio
import pytest
from pydantic import ValidationError

import jackfield_stt_openai as plugin
from jackfield.contracts.stt import STT_RATE_HZ, Transcript, TranscriptionSettings
from jackfield.errors import (
    ProviderBadReply,
    ProviderError,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimedOut,
    ProviderUnauthorized,
    ProviderUnavailable,
)
from jackfield.plugin import Site
from jackfield.testing import FailureSuite, STTSuite
from jackfield.testing.failure import Failing
from jackfield_stt_openai import OpenAISTTOptions
from jackfield_stt_openai.stt import OpenAISTT
from tests.plugins.http_service import Asked, Handler, Reply, Service, serving

pytestmark = pytest.mark.anyio

KEY = "sk-test-1234567890"
SECRET_WORDS = "the password is swordfish"
ANY = TranscriptionSettings()


def tone(seconds: float, peak: int = 8000) -> bytes:
    """A note."""
    samples = range(int(seconds * STT_RATE_HZ))
    return array("h", (round(peak * math.sin(at / 5)) for at in samples)).tobytes()


SPEECH = tone(2)


class Upload:
    """The form of a request."""

    def __init__(self, asked: Asked) -> None:
        head = f"content-type: {asked.headers['content-type']}\r\n\r\n".encode()
        self.fields: dict[str, str] = {}
        for part in message_from_bytes(head + asked.body).walk():
            name = part.get_param("name", header="content-disposition")
            data = part.get_payload(decode=True)
            if not isinstance(data, bytes):
                continue
            if name == "file":
                self.name, self.file = part.get_filename(), data
            else:
                self.fields[str(name)] = data.decode()

    def pcm(self) -> bytes:
        """The sound, after a look at its format."""
        with wave.open(io.BytesIO(self.file)) as reader:
            assert (reader.getnchannels(), reader.getsampwidth(), reader.getframerate()) == (1, 2, 16_000)
            return bytes(reader.readframes(reader.getnframes()))


async def hear(asked: Asked, reply: Reply) -> None:
    """Tell how long the sound is, if there is any."""
    pcm = Upload(asked).pcm()
    text = f"Hello there, {len(pcm) / 2 / STT_RATE_HZ:.1f} s." if any(pcm) else ""
    await reply.whole(200, {"text": f" {text}", "usage": {"type": "duration", "seconds": 2}})


@asynccontextmanager
async def connected(url: str, **options: object) -> AsyncIterator[OpenAISTT]:
    """The plugin, ready for use."""
    given = {"model": "whisper-1", "base_url": f"{url}/v1", "api_key": KEY} | options
    site = Site("stt", "openai", logging.getLogger("jackfield.test"))
    async with plugin.make_stt(OpenAISTTOptions.model_validate(given), site) as stt:
        yield stt


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with serving(hear) as service:
        yield service


class TestOpenAI(STTSuite):
    """The promises that every recogniser makes."""

    speech = SPEECH
    expected_words = ("hello", "there")
    capabilities = plugin.plugin_info().capabilities(OpenAISTTOptions(base_url="http://127.0.0.1:1/v1"))

    @pytest.fixture
    async def stt(self, service: Service) -> AsyncIterator[OpenAISTT]:
        async with connected(service.url) as stt:
            yield stt


async def test_an_utterance_is_uploaded_as_a_wav_file_with_the_key(service: Service) -> None:
    async with connected(service.url) as stt:
        transcript = await stt.recognize(SPEECH, ANY)
    assert transcript == Transcript("Hello there, 2.0 s.", "final", end_s=2.0)
    (asked,) = service.asked
    assert (asked.method, asked.path) == ("POST", "/v1/audio/transcriptions")
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    upload = Upload(asked)
    assert upload.name == "speech.wav"
    assert upload.pcm() == SPEECH
    assert upload.fields == {"model": "whisper-1", "response_format": "json"}


async def test_language_and_expected_words_are_told(service: Service) -> None:
    options = {"language": "en-GB", "prompt": "A chat.", "extra_fields": {"temperature": "0.2"}}
    async with connected(service.url, **options) as stt:
        await stt.recognize(SPEECH, ANY)
        heard = await stt.recognize(SPEECH, TranscriptionSettings("pl-PL", hints=("Łódź", "Gdańsk")))
    first, second = (Upload(asked).fields for asked in service.asked)
    assert (first["language"], first["prompt"], first["temperature"]) == ("en", "A chat.", "0.2")
    assert (second["language"], second["prompt"]) == ("pl", "A chat. Łódź, Gdańsk")
    assert heard.language == "pl-PL"


@pytest.mark.parametrize(
    "pcm", [bytes(64_000), tone(2, peak=60), tone(0.05)], ids=["nothing", "hum", "click"]
)
async def test_silence_is_not_sent(service: Service, pcm: bytes) -> None:
    async with connected(service.url) as stt:
        assert (await stt.recognize(pcm, ANY)).text == ""
    assert service.asked == []


async def test_speech_after_a_long_silence_is_sent(service: Service) -> None:
    async with connected(service.url) as stt:
        assert (await stt.recognize(bytes(320_000) + tone(0.1), ANY)).text


async def test_sound_that_is_loud_below_zero_alone_is_sent(service: Service) -> None:
    async with connected(service.url) as stt:
        assert (await stt.recognize(array("h", [-8000] * STT_RATE_HZ).tobytes(), ANY)).text


async def test_quiet_sound_is_sent_where_nothing_counts_as_silence(service: Service) -> None:
    async with connected(service.url, silence=0.0) as stt:
        assert (await stt.recognize(tone(1, peak=2), ANY)).text


async def test_a_plain_text_is_understood_as_well(service: Service) -> None:
    async def plain(asked: Asked, reply: Reply) -> None:
        await reply.whole(200, b" Hello.\n", content_type="text/plain; charset=utf-8")

    service.handler = plain
    async with connected(service.url) as stt:
        assert (await stt.recognize(SPEECH, ANY)).text == "Hello."


async def test_a_kept_connection_that_was_closed_meanwhile_is_replaced_by_a_new_one(
    service: Service,
) -> None:
    async def hang_up(asked: Asked, reply: Reply) -> None:
        service.handler = hear
        await reply.cut()

    async with connected(service.url) as stt:
        await stt.recognize(SPEECH, ANY)
        service.handler = hang_up
        assert (await stt.recognize(SPEECH, ANY)).text
    assert [asked.connection for asked in service.asked] == [0, 0, 1]


async def test_a_cancelled_recognition_closes_its_connection_at_once(service: Service) -> None:
    reached, left = anyio.Event(), anyio.Event()

    async def stall(asked: Asked, reply: Reply) -> None:
        reached.set()
        await reply.until_left()
        left.set()

    service.handler = stall
    async with connected(service.url) as stt, anyio.create_task_group() as tasks:
        tasks.start_soon(stt.recognize, SPEECH, ANY)
        with anyio.fail_after(5):
            await reached.wait()
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True), anyio.fail_after(0.1):
            await left.wait()


def failing(status: int, body: object, **headers: str) -> Handler:
    async def fail(asked: Asked, reply: Reply) -> None:
        await reply.whole(status, body, **headers)

    return fail


@pytest.mark.parametrize(
    ("status", "body", "category"),
    [
        (
            401,
            {"error": {"message": f"Wrong: {KEY}", "code": "invalid_api_key"}},
            ProviderUnauthorized,
        ),
        (429, {"error": {"message": SECRET_WORDS, "code": "rate_limit_exceeded"}}, ProviderRateLimited),
        (400, {"error": {"message": SECRET_WORDS, "code": "audio_too_short"}}, ProviderRefused),
        (404, b"not found", ProviderBadReply),
        (500, {"error": {"message": SECRET_WORDS}}, ProviderUnavailable),
        (200, b"{garbage", ProviderBadReply),
        (200, {"error": SECRET_WORDS}, ProviderBadReply),
        (200, ["text"], ProviderBadReply),
        (200, {"text": None}, ProviderBadReply),
    ],
)
async def test_what_the_service_answers_otherwise_has_its_category_and_is_not_quoted(
    service: Service, status: int, body: object, category: type[ProviderError]
) -> None:
    service.handler = failing(status, body, retry_after="7")
    async with connected(service.url) as stt:
        with pytest.raises(ProviderError) as caught:
            await stt.recognize(SPEECH, ANY)
    assert type(caught.value) is category
    assert not [secret for secret in (KEY, SECRET_WORDS) if secret in str(caught.value)]
    if category is ProviderRateLimited:
        assert caught.value.retry_after_s == 7.0
    assert len(service.asked) == 1


async def test_a_service_that_stalls_is_left_when_it_was_silent_for_too_long(service: Service) -> None:
    async def stall(asked: Asked, reply: Reply) -> None:
        await reply.until_left()

    service.handler = stall
    async with connected(service.url, silence_s=0.05) as stt:
        with pytest.raises(ProviderTimedOut):
            await stt.recognize(SPEECH, ANY)


async def test_an_answer_that_is_cut_makes_the_provider_unavailable(service: Service) -> None:
    async def cut(asked: Asked, reply: Reply) -> None:
        await reply.begin(content_type="application/json")
        await reply.send(b'{"text": "Hel')
        await reply.cut()

    service.handler = cut
    async with connected(service.url) as stt:
        with pytest.raises(ProviderUnavailable):
            await stt.recognize(SPEECH, ANY)


def test_openai_itself_wants_a_key() -> None:
    with pytest.raises(ValidationError, match="api_key"):
        OpenAISTTOptions.model_validate({})


def test_only_a_server_on_this_machine_counts_as_no_network() -> None:
    capabilities = plugin.plugin_info().capabilities
    assert capabilities(OpenAISTTOptions.model_validate({"api_key": KEY})).network
    assert not capabilities(OpenAISTTOptions(base_url="http://localhost:8000/v1")).network


class TestRefusedConnection(FailureSuite):
    """Nobody listens."""

    expected = ProviderUnavailable
    secrets = (KEY,)

    @pytest.fixture
    async def failing(self) -> AsyncIterator[Failing]:
        async with serving(hear) as gone:
            pass
        async with connected(gone.url) as stt:
            yield lambda: stt.recognize(SPEECH, ANY)
