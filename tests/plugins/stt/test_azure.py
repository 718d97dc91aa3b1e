"""The plugin `azure` for recognition: the real SDK against a local server."""

from __future__ import annotations

import importlib.util
import logging
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import anyio
import pytest
from pydantic import ValidationError

from jackfield import (
    JackfieldError,
    ProviderBadReply,
    ProviderError,
    ProviderRateLimited,
    ProviderTimedOut,
    ProviderUnauthorized,
    ProviderUnavailable,
    Site,
)
from jackfield.contracts.stt import Transcript, TranscriptionSettings
from jackfield.testing import STTSuite
from jackfield.testing.failure import Failing, FailureSuite
from jackfield.testing.stt import next_of, transcribe
from jackfield.testing.stt_stream import until_final
from jackfield_stt_azure import AzureSTTOptions, make_stt, plugin_info
from tests.plugins.azure_speech_senses import WORDS, spoken
from tests.plugins.azure_speech_server import Key, SpeechServer, native_threads, speech_server, until

if not os.environ.get("CI") and importlib.util.find_spec("azure") is None:
    pytest.skip("Needs azure-cognitiveservices-speech.", allow_module_level=True)

from jackfield_stt_azure.stt import AzureSTT

pytestmark = pytest.mark.anyio

NOBODY = "ws://127.0.0.1:1"
PAUSE = bytes(2 * 16_000)
"""A second of silence."""


@pytest.fixture(scope="module")
def server() -> Iterator[SpeechServer]:
    with speech_server() as server:
        yield server


def build(server: SpeechServer, **options: object) -> AzureSTT:
    settings = AzureSTTOptions.model_validate({"host": server.host, "key": "good-key", **options})
    return make_stt(settings, Site("stt", "azure", logging.getLogger(__name__)))


@pytest.fixture(scope="module")
async def stt(server: SpeechServer) -> AsyncIterator[AzureSTT]:
    async with build(server) as stt:
        yield stt


class TestAzure(STTSuite):
    capabilities = plugin_info().capabilities(AzureSTTOptions(host=NOBODY))
    speech = spoken(*WORDS)
    expected_words = WORDS


class Failures(FailureSuite):
    """What goes wrong is decided by the key, and by the host."""

    key: Key
    host: str | None = None
    secrets = ("a-key", "Rosebud")

    @pytest.fixture
    async def failing(self, server: SpeechServer) -> AsyncIterator[Failing]:
        place = self.host or server.host
        async with build(server, host=place, key=self.key) as stt:
            yield lambda: transcribe(stt, [spoken(*WORDS)])


class TestWrongKey(Failures):
    key = Key.WRONG
    expected = ProviderUnauthorized


class TestThrottled(Failures):
    key = Key.THROTTLED
    expected = ProviderRateLimited


class TestThrottledHalfway(Failures):
    key = Key.BUSY
    expected = ProviderRateLimited


class TestServerError(Failures):
    key = Key.BROKEN
    expected = ProviderUnavailable


class TestCutHalfway(Failures):
    key = Key.CUT
    expected = ProviderUnavailable


class TestRequestRefused(Failures):
    key = Key.REFUSED
    expected = ProviderBadReply


class TestNobodyThere(Failures):
    key = Key.WRONG
    host = NOBODY
    expected = ProviderUnavailable


async def test_a_service_that_falls_silent_is_given_up(server: SpeechServer) -> None:
    async with build(server, key=Key.MUTE, timeout_s=0.1) as stt:
        with pytest.raises(ProviderTimedOut, match=r"0\.1 s"):
            await transcribe(stt, [spoken("what")])


async def finals(stt: AzureSTT, *utterances: bytes) -> list[Transcript]:
    """Say some utterances one after the other in one stream."""
    found = []
    async with stt.stream(TranscriptionSettings()) as stream:
        transcripts = aiter(stream)
        for pcm in utterances:
            stream.push(pcm)
            stream.end_utterance()
            found.append(await next_of(transcripts, "final"))
    return found


@pytest.mark.contract("PI-20")
async def test_all_utterances_of_a_call_go_over_one_connection(server: SpeechServer, stt: AzureSTT) -> None:
    before = server.connections, server.turns
    found = await finals(stt, spoken("what"), spoken("is", "the"), spoken("capital"))
    assert [final.text for final in found] == ["what.", "is the.", "capital."]
    assert (server.connections, server.turns) == (before[0] + 1, before[1] + 3)


async def test_a_connection_that_ended_between_utterances_is_opened_again(server: SpeechServer) -> None:
    async with build(server, key=Key.IDLE) as stt, stt.stream(TranscriptionSettings()) as stream:
        transcripts = aiter(stream)
        for word in ("what", "is"):
            stream.push(spoken(word))
            stream.end_utterance()
            assert (await next_of(transcripts, "final")).text == f"{word}."
            await until(lambda: server.ended == server.connections)


@pytest.mark.contract("PI-20")
async def test_phrases_between_pauses_are_one_utterance(stt: AzureSTT) -> None:
    (final,) = await finals(stt, spoken("what", "is") + PAUSE + spoken("the"))
    assert final.text == "what is. the."
    assert final.confidence == pytest.approx(0.9)


async def test_times_count_from_the_beginning_of_the_utterance(stt: AzureSTT) -> None:
    _first, second = await finals(stt, PAUSE + spoken("what", "is") + PAUSE, PAUSE + spoken("what", "is"))
    assert second.start_s == pytest.approx(1.0, abs=0.02)
    assert second.end_s == pytest.approx(1.75, abs=0.02)


async def test_entering_a_stream_opens_its_connection(server: SpeechServer, stt: AzureSTT) -> None:
    before = server.connections
    async with stt.stream(TranscriptionSettings()):
        await until(lambda: server.connections > before)


@pytest.mark.parametrize("key", [Key.WRONG, Key.THROTTLED, Key.BROKEN])
async def test_a_connection_that_was_refused_is_not_tried_again(server: SpeechServer, key: Key) -> None:
    before = server.refusals
    async with build(server, key=key) as stt:
        with pytest.raises(ProviderError):
            await transcribe(stt, [spoken(*WORDS)])
    assert server.refusals == before + 1


async def test_a_connection_that_broke_is_not_tried_again(server: SpeechServer) -> None:
    before = server.connections
    async with build(server, key=Key.CUT) as stt:
        with pytest.raises(ProviderUnavailable):
            await transcribe(stt, [spoken(*WORDS)])
    assert server.connections == before + 1


async def test_an_utterance_that_ends_unchanged_has_its_final_at_once(
    server: SpeechServer, stt: AzureSTT
) -> None:
    async with stt.stream(TranscriptionSettings()) as stream:
        transcripts = aiter(stream)
        stream.push(spoken("what"))
        stream.checkpoint()
        assert (await next_of(transcripts, "tentative")).text == "what."
        turns = server.turns
        stream.push(PAUSE)
        stream.end_utterance(unchanged=True)
        assert (await anext(transcripts)).text == "what."
        stream.push(spoken("is"))
        stream.end_utterance()
        final = await next_of(transcripts, "final")
    assert (final.text, final.start_s) == ("is.", 0)
    assert server.turns == turns + 1


async def test_what_comes_after_the_guess_of_an_utterance_that_ends_unchanged_is_forgotten(
    stt: AzureSTT,
) -> None:
    async with stt.stream(TranscriptionSettings()) as stream:
        transcripts = aiter(stream)
        stream.push(spoken("what"))
        stream.checkpoint()
        await next_of(transcripts, "tentative")
        stream.push(spoken("is"))
        await next_of(transcripts, "partial")
        stream.end_utterance(unchanged=True)
        assert (await next_of(transcripts, "final")).text == "what."
        stream.push(spoken("the"))
        stream.end_utterance()
        assert "is" not in [transcript.text for transcript in await until_final(transcripts)]


@pytest.mark.parametrize("known", [False, True], ids=["at_once", "when_its_words_are_known"])
async def test_the_next_utterance_follows_one_that_was_discarded(stt: AzureSTT, known: bool) -> None:
    async with stt.stream(TranscriptionSettings()) as stream:
        transcripts = aiter(stream)
        stream.push(spoken("what"))
        stream.checkpoint()
        if known:
            await next_of(transcripts, "tentative")
        stream.push(spoken("is"))
        stream.discard()
        stream.push(spoken("the"))
        stream.end_utterance()
        heard = await until_final(transcripts)
    assert [transcript.text for transcript in heard][-1] == "the."
    assert not [transcript for transcript in heard if {"what", "is"} & set(transcript.text.split())]
    assert heard[-1].start_s == 0


async def test_an_utterance_that_ends_unchanged_before_the_guess_came_has_no_silence_recognised(
    server: SpeechServer, stt: AzureSTT
) -> None:
    turns = server.turns
    async with stt.stream(TranscriptionSettings()) as stream:
        transcripts = aiter(stream)
        stream.push(spoken("what"))
        stream.checkpoint()
        stream.push(PAUSE)
        stream.end_utterance(unchanged=True)
        assert (await next_of(transcripts, "final")).text == "what."
        stream.push(spoken("is"))
        stream.end_utterance()
        assert (await next_of(transcripts, "final")).start_s == 0
    assert server.turns == turns + 2


async def test_a_recording_is_heard_a_lot_faster_than_it_was_spoken(stt: AzureSTT) -> None:
    begin = time.perf_counter()
    await transcribe(stt, [spoken(*WORDS) * 8])
    assert time.perf_counter() - begin < 4


@pytest.mark.parametrize(
    ("options", "wished", "asked"),
    [
        ({}, None, "language=en-US"),
        ({}, "pl", "language=pl-PL"),
        ({}, "ja", "language=ja-JP"),
        ({}, "pt-BR", "language=pt-BR"),
        ({"language": "en-GB"}, "en", "language=en-GB"),
        ({"languages": ["en-IN", "pl-PL"]}, "en", "language=en-IN"),
        ({"profanity": "raw"}, None, "profanity=raw"),
    ],
)
async def test_the_service_is_asked_for(
    server: SpeechServer, options: dict[str, object], wished: str | None, asked: str
) -> None:
    async with build(server, **options) as stt, stt.stream(TranscriptionSettings(wished)) as stream:
        stream.push(spoken("what"))
        stream.end_utterance()
        await next_of(aiter(stream), "final")
    assert asked in server.paths[-1]


async def test_the_language_is_found_out_among_several(server: SpeechServer) -> None:
    async with build(server, languages=["en", "pl"]) as stt:
        final = await transcribe(stt, [spoken("what")])
    assert server.contexts[-1]["languageId"]["languages"] == ["en-US", "pl-PL"]
    assert final.language == "pl-PL"


async def test_hints_go_to_the_service(server: SpeechServer, stt: AzureSTT) -> None:
    async with stt.stream(TranscriptionSettings(hints=("Jackfield", "Zofia"))) as stream:
        stream.push(spoken("what"))
        stream.end_utterance()
        await next_of(aiter(stream), "final")
    (group,) = server.contexts[-1]["dgi"]["Groups"]
    assert [item["Text"] for item in group["Items"]] == ["Jackfield", "Zofia"]


async def test_no_thread_of_the_sdk_stays(server: SpeechServer) -> None:
    async with build(server) as stt:
        await transcribe(stt, [spoken("what")])  # threads of the pool are made
    before = native_threads()
    for key in ("good-key", Key.WRONG, Key.CUT):
        async with build(server, key=key) as stt, stt.stream(TranscriptionSettings()) as stream:
            stream.push(spoken(*WORDS))
            with anyio.move_on_after(0.2):
                with suppress(JackfieldError):
                    await next_of(aiter(stream), "partial")
    await until(lambda: native_threads() <= before)


async def test_leaving_does_not_wait_for_a_service_that_does_not_answer(server: SpeechServer) -> None:
    async with build(server, key=Key.MUTE) as stt:
        async with stt.stream(TranscriptionSettings()) as stream:
            transcripts = aiter(stream)
            stream.push(spoken(*WORDS))
            stream.end_utterance()
            await next_of(transcripts, "partial")
            begin = time.perf_counter()
        assert time.perf_counter() - begin < 0.1
    assert time.perf_counter() - begin < 0.8


async def test_neither_words_nor_the_key_are_in_a_log(
    server: SpeechServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with build(server, key="Rosebud") as stt:
            await transcribe(stt, [spoken("japan")])
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("websockets")]
    assert not [message for message in ours if "osebud" in message or "japan" in message]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"region": "westeurope"},
        {"region": "westeurope", "host": NOBODY, "key": "k"},
        {"host": "localhost"},
        {"region": "west.example/", "key": "k"},
        {"host": "wss://key@example.com", "key": "k"},
    ],
    ids=["nothing", "no_key", "two_places", "no_address", "no_region", "password"],
)
def test_options_that_name_no_place_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AzureSTTOptions.model_validate(options)


def test_blank_variables_are_as_good_as_none() -> None:
    options = AzureSTTOptions.model_validate({"key": "", "region": "", "host": NOBODY})
    assert (options.key, options.region) == (None, None)


def test_only_a_service_on_this_machine_needs_no_network() -> None:
    here, there = AzureSTTOptions(host=NOBODY), AzureSTTOptions(host="wss://westeurope.stt.speech.azure.us")
    assert not plugin_info().capabilities(here).network
    assert plugin_info().capabilities(there).network


async def test_it_cannot_listen_before_it_is_entered(server: SpeechServer) -> None:
    with pytest.raises(RuntimeError, match="entered"):
        build(server).stream(TranscriptionSettings())
