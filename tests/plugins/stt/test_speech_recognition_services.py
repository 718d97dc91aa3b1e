"""The plugin `speech_recognition` with services: a local server that speaks their protocols."""

from __future__ import annotations

import base64
import importlib.util
import json
import logging
import os
import time
import traceback
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from pydantic import ValidationError

from jackfield import Site
from jackfield.audio.decode import decode
from jackfield.contracts.stt import STT_RATE_HZ, Transcript, TranscriptionSettings
from jackfield.errors import (
    PluginCannotLoad,
    PluginCannotStart,
    PluginWrongOptions,
    ProviderBadReply,
    ProviderError,
    ProviderRateLimited,
    ProviderTimedOut,
    ProviderUnauthorized,
    ProviderUnavailable,
)
from jackfield.testing import FailureSuite, STTSuite
from jackfield.testing.failure import Failing
from jackfield_stt_speech_recognition import SpeechRecognitionOptions, make_stt, plugin_info
from jackfield_stt_speech_recognition.service import ServiceSTT
from tests.plugins.speech_services import HOSTS, SAID, Service, served
from tests.tunnel import make_certificate

if importlib.util.find_spec("speech_recognition") is None and not os.environ.get("CI"):
    pytest.skip("Needs SpeechRecognition.", allow_module_level=True)

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

SITE = Site("stt", "speech_recognition", logging.getLogger(__name__))
KEY = "sesame-0123456789"
SPEECH = (np.sin(np.arange(2 * STT_RATE_HZ) / 9) * 9_000).astype("<i2").tobytes()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tls") / "services.pem"
    make_certificate(file, HOSTS)
    return file


@pytest.fixture
def service(certificate: Path) -> Iterator[Service]:
    with served(certificate) as service:
        yield service


@pytest.fixture
def proxied(service: Service, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The server as the proxy of everything, trusted by its certificate."""
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", service.url)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    urllib.request.install_opener(None)  # the next one reads the environment anew
    yield service
    urllib.request.install_opener(None)


def build(**options: object) -> ServiceSTT:
    stt = make_stt(SpeechRecognitionOptions.model_validate(options), SITE)
    assert isinstance(stt, ServiceSTT)
    return stt


def google(service: Service, **options: object) -> ServiceSTT:
    return build(**{"engine": "google", "arguments": {"endpoint": f"{service.url}/recognize"}, **options})


async def hear(stt: ServiceSTT, language: str | None = None) -> Transcript:
    async with stt:
        return await stt.recognize(SPEECH, TranscriptionSettings(language))


class TestGoogle(STTSuite):
    capabilities = plugin_info().capabilities(SpeechRecognitionOptions(engine="google", timeout_s=1))
    speech = SPEECH
    expected_words = ("best", "times")
    lasting_threads = ("Thread-",)  # of the server, one a connection

    @pytest.fixture
    async def stt(self, service: Service) -> AsyncIterator[ServiceSTT]:
        async with google(service, timeout_s=1) as stt:
            yield stt


async def test_google_is_sent_the_very_sound_its_language_and_the_key(service: Service) -> None:
    heard = await hear(google(service, secrets={"key": KEY}), "de-DE")
    ((asked, headers, body),) = service.requests
    assert heard == Transcript(SAID, "final", end_s=2.0, confidence=0.94, language="de-DE")
    query = parse_qs(urlsplit(asked).query)
    assert query == {"client": ["chromium"], "lang": ["de-DE"], "key": [KEY], "pFilter": ["0"]}
    assert headers["content-type"] == "audio/x-flac; rate=16000"
    same = decode(body, max_s=10) == SPEECH
    assert same, "The sound that arrived is another one."


async def test_google_without_a_key_is_given_the_shared_one(service: Service) -> None:
    await hear(google(service))
    assert "key=AIza" in service.requests[0][0]


async def test_a_probability_that_google_does_not_tell_is_not_made_up(service: Service) -> None:
    service.raw = json.dumps({"result": [{"alternative": [{"transcript": SAID}], "final": True}]}).encode()
    assert (await hear(google(service))).confidence is None


@pytest.mark.parametrize("raw", [b"", b'{"result":[]}\n', b'{"result":[{"alternative":[]}]}\n'])
async def test_speech_that_is_not_understood_has_an_empty_transcript(service: Service, raw: bytes) -> None:
    service.raw = raw
    assert (await hear(google(service))).text == ""


class Failures(FailureSuite):
    """Google's answers, one class a way to fail."""

    service_fails: ClassVar[Service]
    secrets = (KEY, SAID)
    lasting_threads = ("Thread-",)

    @pytest.fixture
    async def failing(self, service: Service) -> AsyncIterator[Failing]:
        for name in ("status", "headers", "raw", "hangs"):
            setattr(service, name, getattr(self.service_fails, name))
        async with google(service, secrets={"key": KEY}, timeout_s=0.3) as stt:
            yield lambda: stt.recognize(SPEECH, TranscriptionSettings())


class TestWrongKey(Failures):
    service_fails = Service(403, raw=SAID.encode())
    expected = ProviderUnauthorized


class TestTooMany(Failures):
    service_fails = Service(429)
    expected = ProviderRateLimited


class TestServerError(Failures):
    service_fails = Service(503)
    expected = ProviderUnavailable


class TestBadRequest(Failures):
    service_fails = Service(400)
    expected = ProviderBadReply


class TestGarbage(Failures):
    service_fails = Service(raw=b"<html>" + SAID.encode())
    expected = ProviderBadReply


class TestOtherShape(Failures):
    service_fails = Service(raw=b'{"words": []}')
    expected = ProviderBadReply


class TestHangs(Failures):
    service_fails = Service(hangs=True)
    expected = ProviderTimedOut


class TestNobodyThere(FailureSuite):
    expected = ProviderUnavailable

    @pytest.fixture
    async def failing(self) -> AsyncIterator[Failing]:
        async with google(Service(url="http://127.0.0.1:9")) as stt:
            yield lambda: stt.recognize(SPEECH, TranscriptionSettings())


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None)])
async def test_how_long_to_wait_is_told(service: Service, header: str, seconds: float | None) -> None:
    service.status, service.headers = 429, {"Retry-After": header}
    with pytest.raises(ProviderRateLimited) as caught:
        await hear(google(service))
    assert caught.value.retry_after_s == seconds


async def test_a_service_that_never_answers_is_given_up_in_time(service: Service) -> None:
    service.hangs = True
    begin = time.perf_counter()
    with pytest.raises(ProviderTimedOut):
        await hear(google(service, timeout_s=0.2))
    assert time.perf_counter() - begin < 3


SERVICES: dict[str, tuple[dict[str, object], float | None, str]] = {
    "azure": ({"secrets": {"key": KEY}, "arguments": {"location": "eastus"}}, 0.9, "language=de-DE"),
    "wit": ({"secrets": {"key": KEY}}, None, "api.wit.ai"),
    "houndify": (
        {"secrets": {"client_id": "me", "client_key": base64.urlsafe_b64encode(KEY.encode()).decode()}},
        0.8,
        "api.houndify.com",
    ),
    "ibm": ({"secrets": {"key": KEY}}, 0.7, "watsonplatform"),
}


@pytest.mark.parametrize("engine", SERVICES)
async def test_each_service_hears(proxied: Service, engine: str) -> None:
    options, confidence, asked = SERVICES[engine]
    heard = await hear(build(engine=engine, **options), "de-DE")
    assert (heard.text, heard.confidence) == (SAID, confidence)
    assert asked in proxied.requests[-1][0]


@pytest.mark.parametrize("engine", SERVICES)
async def test_each_service_that_refuses_the_key_says_so(proxied: Service, engine: str) -> None:
    proxied.status = 401
    with pytest.raises(ProviderUnauthorized, match=engine) as caught:
        await hear(build(engine=engine, **SERVICES[engine][0]))
    assert KEY not in str(caught.value)


async def test_a_traceback_quotes_nothing_of_a_service(service: Service) -> None:
    service.status = 400
    with pytest.raises(ProviderError) as caught:
        await hear(google(service))
    told = "".join(traceback.format_exception(caught.value))
    assert "Bad Request" not in told
    assert "direct cause" not in told


@pytest.mark.skipif(importlib.util.find_spec("openai") is None, reason="Needs openai.")
async def test_a_service_whose_kit_reads_the_environment_hears(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{service.url}/v1")
    heard = await hear(build(engine="openai", arguments={"model": "whisper-1"}), "de-DE")
    _, headers, body = service.requests[0]
    assert heard.text == SAID
    assert headers["authorization"] == f"Bearer {KEY}"
    assert b'name="language"\r\n\r\nde\r\n' in body
    service.status, service.raw = 401, b"{}"
    with pytest.raises(ProviderUnauthorized):
        await hear(build(engine="openai"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "wit"}, "needs secrets.key"),
        ({"engine": "houndify", "secrets": {"client_id": "a"}}, "needs secrets.client_key"),
        ({"engine": "google", "arguments": {"key": KEY}}, "Write key under secrets"),
        ({"engine": "google", "secrets": {"token": KEY}}, "has no secret token; it has: key"),
        ({"engine": "google", "arguments": {"language": "en"}}, "language is an option"),
        ({"engine": "sphinx", "arguments": {"grammar": "a"}}, "neither secrets nor arguments"),
        ({"engine": "wit", "secrets": {"key": KEY}, "model": "a"}, "model is for the engine sphinx"),
        ({"engine": "amazon"}, "Input should be"),
    ],
)
def test_options_that_do_not_fit_the_engine_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        SpeechRecognitionOptions.model_validate(options)
    assert KEY not in str(caught.value)


def test_an_unknown_argument_is_refused_with_the_known_ones() -> None:
    with pytest.raises(PluginWrongOptions, match=r"stt\.options\.arguments.*'endpiont'.*endpoint"):
        build(engine="google", arguments={"endpiont": "http://127.0.0.1"})


def test_a_missing_kit_is_named_with_its_package() -> None:
    with pytest.raises(PluginCannotLoad, match="pip install groq"):
        build(engine="groq")


@pytest.mark.skipif(importlib.util.find_spec("openai") is None, reason="Needs openai.")
def test_a_missing_key_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(PluginCannotStart, match="OPENAI_API_KEY is not set"):
        build(engine="openai")


async def test_a_machine_without_flac_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    stt = build(engine="google")
    monkeypatch.setattr("platform.machine", lambda: "unheard-of")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(PluginCannotStart, match="apt-get install flac"):
        async with stt:
            pass


@pytest.mark.parametrize(
    ("engine", "network"), [("sphinx", False), ("vosk", False), ("google", True), ("groq", True)]
)
def test_engines_that_use_the_network_say_so(engine: str, network: bool) -> None:
    options = SpeechRecognitionOptions.model_validate({"engine": engine})
    assert plugin_info().capabilities(options).network is network


async def test_neither_words_nor_keys_are_in_the_log(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        await hear(google(service, secrets={"key": KEY}))
        service.raw = b"{}"
        with pytest.raises(ProviderError):
            await hear(google(service, secrets={"key": KEY}))
    assert SAID not in caplog.text
    assert KEY not in caplog.text
