"""The voice `openai`, against a server on a real socket that speaks in tones."""

from __future__ import annotations

import logging
import math
import struct
from array import array
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import cache
from typing import Final

import anyio
import pytest

import jackfield_tts_openai as plugin
from jackfield.audio.encode import encode
from jackfield.audio.resample import resample
from jackfield.contracts.tts import SpeechSettings, Voice
from jackfield.errors import (
    ProviderBadReply,
    ProviderError,
    ProviderRateLimited,
    ProviderTimedOut,
    ProviderUnauthorized,
    ProviderUnavailable,
)
from jackfield.plugin import Site
from jackfield.testing import FailureSuite, TTSSuite
from jackfield.testing.failure import Failing
from jackfield.testing.tts import speech_of
from jackfield_tts_openai import OpenAITTSOptions
from jackfield_tts_openai.tts import OpenAITTS
from tests.plugins.http_service import Asked, Handler, Reply, Service, serving

pytestmark = pytest.mark.anyio

KEY = "sk-test-1234567890"
SECRET_WORDS = "The password is swordfish."
RATE_HZ: Final = 24_000
ODD_BYTES: Final = 3333


@cache
def second(rate_hz: int) -> bytes:
    """A second of a note; it may follow itself."""
    return array(
        "h", (round(8000 * math.sin(440 * math.tau * at / rate_hz)) for at in range(rate_hz))
    ).tobytes()


def tone(seconds: float, rate_hz: int = RATE_HZ) -> bytes:
    """A note that begins with samples which look like the frame of an MP3 stream."""
    samples = int(seconds * rate_hz)
    sound = (second(rate_hz) * (samples // rate_hz + 1))[: samples * 2]
    return struct.pack("<2h", -1, -28_672) + sound[4:]


def spoken(asked: Asked) -> bytes:
    """The sound of a request: 60 ms for a character."""
    body = asked.json
    return tone(len(body["input"]) * 0.06 / float(body.get("speed", 1.0)))


async def speak(asked: Asked, reply: Reply) -> None:
    """Answer with bare samples, in pieces of an odd length."""
    await send(reply, spoken(asked), "audio/pcm")


async def send(reply: Reply, body: bytes, media_type: str) -> None:
    await reply.begin(content_type=media_type)
    for at in range(0, len(body), ODD_BYTES):
        await reply.send(body[at : at + ODD_BYTES])
    await reply.end()


def sending(body: bytes, media_type: str) -> Handler:
    """Answers every request with that."""

    async def answer(asked: Asked, reply: Reply) -> None:
        await send(reply, body, media_type)

    return answer


@asynccontextmanager
async def connected(url: str, **options: object) -> AsyncIterator[OpenAITTS]:
    """The plugin, ready for use."""
    given = {"model": "tts-1", "base_url": f"{url}/v1", "api_key": KEY} | options
    site = Site("tts", "openai", logging.getLogger("jackfield.test"))
    async with plugin.make_tts(OpenAITTSOptions.model_validate(given), site) as tts:
        yield tts


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with serving(speak) as service:
        yield service


class TestOpenAI(TTSSuite):
    """The promises that every voice makes."""

    capabilities = plugin.plugin_info().capabilities(OpenAITTSOptions(base_url="http://127.0.0.1:1/v1"))
    deterministic = True

    @pytest.fixture
    async def tts(self, service: Service) -> AsyncIterator[OpenAITTS]:
        async with connected(service.url) as tts:
            yield tts


async def test_a_text_is_sent_with_the_key_and_bare_samples_are_asked_for(service: Service) -> None:
    async with connected(service.url) as tts:
        speech = await speech_of(tts, "Hello there.")
    assert speech.pcm == tone(12 * 0.06)
    (asked,) = service.asked
    assert (asked.method, asked.path) == ("POST", "/v1/audio/speech")
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.json == {
        "model": "tts-1",
        "input": "Hello there.",
        "voice": "coral",
        "response_format": "pcm",
    }


async def test_sound_is_heard_while_more_of_it_is_made(service: Service) -> None:
    heard = anyio.Event()

    async def hesitate(asked: Asked, reply: Reply) -> None:
        await reply.begin(content_type="audio/pcm")
        await reply.send(tone(0.2))
        await heard.wait()
        await reply.end()

    service.handler = hesitate
    async with connected(service.url) as tts:
        with anyio.fail_after(5):
            async with aclosing(tts.synthesize("Hello.", SpeechSettings())) as synthesis:
                async for _pcm in synthesis:
                    heard.set()


@pytest.mark.parametrize("media_type", ["audio/pcm", "application/octet-stream", ""])
async def test_bare_samples_are_told_from_a_stream_that_begins_alike(
    service: Service, media_type: str
) -> None:
    service.handler = sending(tone(1.0), media_type)
    async with connected(service.url) as tts:
        assert (await speech_of(tts, "Hello.")).pcm == tone(1.0)


ACCENTS = {
    "british": {"female": "fable", "instructions": "Speak with a British accent."},
    "polish": {"male": "echo"},
}


@pytest.mark.parametrize(
    ("voice", "name"),
    [
        (Voice(), "coral"),
        (Voice(gender="male"), "onyx"),
        (Voice(name="nova", gender="male"), "nova"),
        (Voice(name="stranger", gender="male"), "onyx"),
        (Voice(accent="british"), "fable"),
        (Voice(accent="british", gender="male"), "fable"),
        (Voice(accent="polish", gender="female"), "echo"),
        (Voice(accent="martian", gender="male"), "onyx"),
        (Voice(name="fable"), "fable"),
    ],
)
async def test_name_gender_and_accent_choose_the_voice(service: Service, voice: Voice, name: str) -> None:
    async with connected(service.url, accents=ACCENTS) as tts:
        await speech_of(tts, "Hello.", SpeechSettings(voice))
    assert service.asked[0].json["voice"] == name


async def test_how_to_speak_is_told_by_accent_and_in_general(service: Service) -> None:
    async with connected(service.url, accents=ACCENTS, instructions="Be calm.") as tts:
        for accent in ("british", "polish", None):
            await speech_of(tts, "Hello.", SpeechSettings(Voice(accent=accent)))
    told = [asked.json["instructions"] for asked in service.asked]
    assert told == ["Speak with a British accent.", "Be calm.", "Be calm."]


@pytest.mark.parametrize(("wanted", "sent"), [(1.5, 1.8), (10.0, 4.0), (0.01, 0.25)])
async def test_the_speed_is_sent_as_far_as_the_service_goes(
    service: Service, wanted: float, sent: float
) -> None:
    async with connected(service.url, speed=1.2) as tts:
        await speech_of(tts, "Hello.", SpeechSettings(speed=wanted))
    assert service.asked[0].json["speed"] == pytest.approx(sent)


async def test_a_long_text_is_sent_in_parts_that_end_between_words(service: Service) -> None:
    text = "eleven chrs " * 30 + "x" * 250
    async with connected(service.url, max_chars=100) as tts:
        speech = await speech_of(tts, text)
    parts = [asked.json["input"] for asked in service.asked]
    assert all(len(part) <= 100 for part in parts)
    assert "".join(parts).replace(" ", "") == text.replace(" ", "")
    assert parts[0].endswith("chrs")
    assert speech.duration_s == pytest.approx(sum(map(len, parts)) * 0.06, abs=0.01)


@pytest.mark.parametrize("text", ["...", "👍🏽", "\ud800"], ids=["dots", "emoji", "surrogate"])
async def test_text_without_letters_is_not_sent(service: Service, text: str) -> None:
    async with connected(service.url) as tts:
        assert (await speech_of(tts, text)).pcm == b""
    assert service.asked == []


def wav(pcm: bytes, rate_hz: int, size_bytes: int | None = None, channels: int = 1) -> bytes:
    """A WAV file with a further chunk before the sound, and one after it."""
    form = struct.pack("<HHIIHH", 1, channels, rate_hz, rate_hz * 2 * channels, 2 * channels, 16)
    size_bytes = len(pcm) if size_bytes is None else size_bytes
    head = b"RIFF" + struct.pack("<I", 0xFFFF_FFFF) + b"WAVEfmt " + struct.pack("<I", 16) + form
    listed = b"LIST" + struct.pack("<I", 5) + b"abcde\0"
    data = b"data" + struct.pack("<I", size_bytes) + pcm
    return head + listed + data + (listed if size_bytes == len(pcm) else b"")


@pytest.mark.parametrize("size_bytes", [None, 0, 0xFFFF_FFFF], ids=["known", "zero", "unknown"])
@pytest.mark.parametrize("media_type", ["audio/wav", "audio/pcm", ""], ids=["right", "wrong", "missing"])
async def test_wav_is_understood_whatever_its_label_and_size_say(
    service: Service, size_bytes: int | None, media_type: str
) -> None:
    service.handler = sending(wav(tone(1.0), RATE_HZ, size_bytes), media_type)
    async with connected(service.url) as tts:
        assert (await speech_of(tts, "Hello.")).pcm == tone(1.0)


async def test_wav_at_another_rate_is_converted(service: Service) -> None:
    service.handler = sending(wav(tone(1.0, 16_000), 16_000), "audio/wav")
    async with connected(service.url) as tts:
        speech = await speech_of(tts, "Hello.")
    assert tts.rate_hz(Voice()) == RATE_HZ
    assert speech.pcm == resample(tone(1.0, 16_000), 16_000, RATE_HZ)


async def test_wav_with_two_channels_is_decoded(service: Service) -> None:
    both = b"".join(sample * 2 for (sample,) in struct.iter_unpack("2s", tone(1.0)))
    service.handler = sending(wav(both, RATE_HZ, channels=2), "audio/wav")
    async with connected(service.url) as tts:
        assert (await speech_of(tts, "Hello.")).duration_s == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(
    ("container", "media_type", "options"),
    [
        ("mp3", "audio/mpeg", {}),
        ("mp3", "application/octet-stream", {"response_format": "mp3"}),
        ("ogg", "audio/ogg", {}),
    ],
)
async def test_compressed_sound_is_decoded(
    service: Service, container: str, media_type: str, options: dict[str, object]
) -> None:
    body = encode(tone(1.0), RATE_HZ, "mp3" if container == "mp3" else "ogg")
    body = body[body.index(b"\xff\xfb") :] if container == "mp3" else body  # without its ID3 tag
    service.handler = sending(body, media_type)
    async with connected(service.url, **options) as tts:
        assert (await speech_of(tts, "Hello.")).duration_s == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"", "audio/pcm"),
        (b"<html>Please log in</html>", "text/html"),
        (b'{"audio": "aGVsbG8="}', "application/json"),
        (b"ID3" + bytes(1000), "audio/mpeg"),
        (b"RIFF\0\0\0\0WAVEdata\x10\0\0\0" + bytes(16), "audio/wav"),
        (b"RIFF\0\0\0\0WAVEjunk\xff\xff\xff\x7f" + bytes(100_000), "audio/wav"),
        (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav"),
        (wav(tone(0.1), 7), "audio/wav"),
    ],
    ids=["nothing", "page", "json", "no mp3", "no format", "endless head", "cut head", "absurd rate"],
)
async def test_what_is_no_sound_is_a_bad_reply(service: Service, body: bytes, media_type: str) -> None:
    service.handler = sending(body, media_type)
    async with connected(service.url) as tts:
        with pytest.raises(ProviderBadReply):
            await speech_of(tts, "Hello.")


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
        (429, {"error": {"message": SECRET_WORDS}}, ProviderRateLimited),
        (404, {"error": {"code": "model_not_found"}}, ProviderBadReply),
        (503, b"", ProviderUnavailable),
    ],
)
async def test_an_error_status_has_its_category_and_is_not_quoted(
    service: Service, status: int, body: object, category: type[ProviderError]
) -> None:
    service.handler = failing(status, body, retry_after="7")
    async with connected(service.url) as tts:
        with pytest.raises(ProviderError) as caught:
            await speech_of(tts, SECRET_WORDS)
    assert type(caught.value) is category
    assert not [secret for secret in (KEY, SECRET_WORDS) if secret in str(caught.value)]
    if category is ProviderRateLimited:
        assert caught.value.retry_after_s == 7.0
    assert len(service.asked) == 1


async def test_sound_that_is_cut_half_way_makes_the_provider_unavailable(service: Service) -> None:
    async def cut(asked: Asked, reply: Reply) -> None:
        await reply.begin(content_type="audio/pcm")
        await reply.send(tone(0.2))
        await reply.cut()

    service.handler = cut
    async with connected(service.url) as tts:
        synthesis = tts.synthesize("Hello.", SpeechSettings())
        assert await anext(synthesis)
        with pytest.raises(ProviderUnavailable):
            async for _pcm in synthesis:
                pass


async def test_a_service_that_stalls_is_left_when_it_was_silent_for_too_long(service: Service) -> None:
    async def stall(asked: Asked, reply: Reply) -> None:
        await reply.begin(content_type="audio/pcm")
        await reply.until_left()

    service.handler = stall
    async with connected(service.url, silence_s=0.05) as tts:
        with pytest.raises(ProviderTimedOut):
            await speech_of(tts, "Hello.")


async def test_a_synthesis_that_is_given_up_closes_its_connection_at_once(service: Service) -> None:
    left = anyio.Event()

    async def stall(asked: Asked, reply: Reply) -> None:
        await reply.begin(content_type="audio/pcm")
        await reply.send(tone(0.2))
        await reply.until_left()
        left.set()

    service.handler = stall
    async with connected(service.url) as tts:
        async with aclosing(tts.synthesize("Hello.", SpeechSettings())) as synthesis:
            await anext(synthesis)
        with anyio.fail_after(0.1):
            await left.wait()


async def test_a_connection_serves_one_text_after_the_other_and_is_replaced_when_it_was_closed(
    service: Service,
) -> None:
    async def hang_up(asked: Asked, reply: Reply) -> None:
        service.handler = speak
        await reply.cut()

    async with connected(service.url) as tts:
        await speech_of(tts, "Hello.")
        service.handler = hang_up
        assert (await speech_of(tts, "Hello.")).pcm
    assert [asked.connection for asked in service.asked] == [0, 0, 1]


def test_the_voices_that_may_speak_are_declared() -> None:
    options = OpenAITTSOptions.model_validate({"api_key": KEY, "accents": {"welsh": {"male": "dylan"}}})
    capabilities = plugin.plugin_info().capabilities(options)
    assert {"coral", "onyx", "nova", "dylan"} <= set(capabilities.voices)
    assert capabilities.network


class TestRefusedConnection(FailureSuite):
    """Nobody listens."""

    expected = ProviderUnavailable
    secrets = (KEY, SECRET_WORDS)

    @pytest.fixture
    async def failing(self) -> AsyncIterator[Failing]:
        async with serving(speak) as gone:
            pass
        async with connected(gone.url) as tts:
            yield lambda: speech_of(tts, SECRET_WORDS)
