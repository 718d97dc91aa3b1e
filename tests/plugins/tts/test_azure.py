"""The plugin `azure` for voices: the real SDK against a local server."""

from __future__ import annotations

import importlib.util
import logging
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, suppress
from xml.etree import ElementTree as ET

import anyio
import pytest
from pydantic import ValidationError

import jackfield_azure_speech_account as account
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
from jackfield.contracts.tts import SpeechMark, SpeechSettings, Voice
from jackfield.errors import PluginCannotStart
from jackfield.testing import TTSSuite
from jackfield.testing.failure import Failing, FailureSuite
from jackfield.testing.tts import speech_of
from jackfield_tts_azure import AzureTTSOptions, make_tts, plugin_info
from jackfield_tts_azure.ssml import chosen, ssml
from tests.plugins.azure_speech_server import Key, SpeechServer, native_threads, speech_server, until

if not os.environ.get("CI") and importlib.util.find_spec("azure") is None:
    pytest.skip("Needs azure-cognitiveservices-speech.", allow_module_level=True)

from jackfield_tts_azure.synthesis import Synthesis
from jackfield_tts_azure.synthesiser import Completed
from jackfield_tts_azure.tts import AzureTTS

pytestmark = pytest.mark.anyio

NOBODY = "ws://127.0.0.1:1"
SITE = Site("tts", "azure", logging.getLogger(__name__))
LONG = "It was the best of times, it was the worst of times. " * 12
NAMESPACE = {"": "http://www.w3.org/2001/10/synthesis"}


@pytest.fixture(scope="module")
def server() -> Iterator[SpeechServer]:
    with speech_server() as server:
        yield server


def build(server: SpeechServer, **options: object) -> AzureTTS:
    settings = AzureTTSOptions.model_validate({"host": server.host, "key": "good-key", **options})
    return make_tts(settings, SITE)


@pytest.fixture(scope="module")
async def tts(server: SpeechServer) -> AsyncIterator[AzureTTS]:
    async with build(server) as tts:
        yield tts


class TestAzure(TTSSuite):
    capabilities = plugin_info().capabilities(AzureTTSOptions(host=NOBODY, connections=4))
    deterministic = True

    @pytest.fixture
    async def tts(self, server: SpeechServer) -> AsyncIterator[AzureTTS]:
        async with build(server, connections=4, visemes=True) as tts:
            yield tts


class Failures(FailureSuite):
    """What goes wrong is decided by the key, and by the host."""

    key: Key
    host: str | None = None
    timeout_s = 4.0
    secrets = ("a-key", "Rosebud", "best of times")

    @pytest.fixture
    async def failing(self, server: SpeechServer) -> AsyncIterator[Failing]:
        place = self.host or server.host
        async with build(server, host=place, key=self.key, connect_s=1, timeout_s=self.timeout_s) as tts:
            yield lambda: speech_of(tts, LONG)


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


class TestNoSound(Failures):
    key = Key.MUTE
    timeout_s = 0.1
    expected = ProviderTimedOut


@pytest.mark.contract("PI-21")
async def test_texts_go_over_one_connection(server: SpeechServer) -> None:
    before = server.connections
    async with build(server) as tts:
        for text in ("One.", "Two.", "Three."):
            await speech_of(tts, text)
    assert server.connections == before + 1


async def test_a_connection_that_ended_between_texts_is_opened_again(server: SpeechServer) -> None:
    async with build(server, key=Key.IDLE) as tts:
        for text in ("One.", "Two."):
            assert (await speech_of(tts, text)).pcm
            await until(lambda: server.ended == server.connections)


async def test_after_a_text_that_was_cut_off_the_next_connection_is_there_beforehand(
    server: SpeechServer,
) -> None:
    async with build(server, connections=1) as tts:
        async with aclosing(tts.synthesize(LONG, SpeechSettings())) as synthesis:
            await anext(synthesis)
        before = server.connections
        await until(lambda: server.connections > before)
        await speech_of(tts, "Yes.")
        assert server.connections == before + 1


@pytest.mark.parametrize("key", [Key.WRONG, Key.THROTTLED, Key.BROKEN])
async def test_a_connection_that_was_refused_is_not_tried_again(server: SpeechServer, key: Key) -> None:
    before = server.refusals
    async with build(server, key=key) as tts:
        with pytest.raises(ProviderError):
            await speech_of(tts, LONG)
    assert server.refusals == before + 1


async def test_a_connection_that_broke_is_not_tried_again(server: SpeechServer) -> None:
    before = server.connections
    async with build(server, key=Key.CUT) as tts:
        with pytest.raises(ProviderUnavailable):
            await speech_of(tts, LONG)
    assert server.connections == before + 1


async def test_no_more_than_the_allowed_connections_are_opened(server: SpeechServer) -> None:
    before = server.connections
    async with build(server, connections=2) as tts, anyio.create_task_group() as tasks:
        for text in ("One.", "Two.", "Three.", "Four.", "Five."):
            tasks.start_soon(speech_of, tts, text)
    assert server.connections <= before + 2


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 48_000])
async def test_the_rate_can_be_set(server: SpeechServer, rate_hz: int) -> None:
    async with build(server, rate_hz=rate_hz) as tts:
        assert tts.rate_hz(Voice()) == rate_hz
        assert (await speech_of(tts, "Hello there.")).duration_s == pytest.approx(12 * 0.06, abs=0.01)


async def test_words_are_marked_without_the_signs_between_them(tts: AzureTTS) -> None:
    marks = (await speech_of(tts, "Yes, it is so.")).marks[:3]  # the SDK may tell the last one after the end
    assert [(mark.kind, mark.value) for mark in marks] == [("word", "Yes"), ("word", "it"), ("word", "is")]
    assert [mark.at_s for mark in marks] == pytest.approx([0, 5 * 0.06, 8 * 0.06])


@pytest.mark.contract("PI-21")
async def test_shapes_of_the_mouth_are_marked_if_wished(server: SpeechServer) -> None:
    async with build(server, visemes=True) as tts:
        marks = (await speech_of(tts, "Yes it is")).marks
    shapes = [mark.value for mark in marks if mark.kind == "viseme"]
    assert shapes[:2] == ["3", "2"]  # the SDK may tell the last one only after the end
    assert server.contexts[-1]["synthesis"]["audio"]["metadataOptions"]["visemeEnabled"]


async def outputs_of(*events: bytes | SpeechMark) -> list[bytes | SpeechMark]:
    """What comes out when the SDK tells this, at a thousand samples a second."""
    synthesis = Synthesis(1_000, connect_s=1, timeout_s=1)
    for event in (*events, Completed()):
        synthesis.tell(event)
    return [output async for output in synthesis.outputs()]


async def test_marks_come_before_their_sound_and_in_order() -> None:
    early, late = SpeechMark("word", "a", 0.001), SpeechMark("viseme", "3", 0.003)
    assert await outputs_of(late, early, bytes(4), bytes(4)) == [early, bytes(4), late, bytes(4)]


async def test_a_mark_that_comes_after_the_last_sound_is_told() -> None:
    synthesis = Synthesis(1_000, connect_s=1, timeout_s=1)
    outputs, last = synthesis.outputs(), SpeechMark("word", "a", 0.001)
    synthesis.tell(bytes(4))
    assert await anext(outputs) == bytes(4)
    for event in (last, Completed()):
        synthesis.tell(event)
    assert [output async for output in outputs] == [last]


async def test_a_connection_that_does_not_come_about_is_given_up() -> None:
    synthesis = Synthesis(1_000, connect_s=0.01, timeout_s=5)
    with pytest.raises(ProviderUnavailable, match=r"0\.01 s"):
        await anext(synthesis.outputs())


async def test_a_mark_that_came_late_does_not_go_back() -> None:
    synthesis = Synthesis(1_000, connect_s=1, timeout_s=1)
    outputs = synthesis.outputs()
    last, late = SpeechMark("word", "b", 0.003), SpeechMark("viseme", "3", 0.001)
    for event in (last, bytes(8)):
        synthesis.tell(event)
    assert [await anext(outputs), await anext(outputs)] == [last, bytes(8)]
    for event in (late, bytes(2)):
        synthesis.tell(event)
    assert await anext(outputs) == SpeechMark("viseme", "3", 0.003)
    await outputs.aclose()


async def test_samples_that_two_chunks_share_are_put_together() -> None:
    assert await outputs_of(b"\x01", b"\x02\x03\x04") == [b"\x01\x02\x03\x04"]


@pytest.mark.parametrize(
    "text",
    [
        'Tom & Jerry\'s <b>"best"</b> ]]> &amp; 5 > 3',
        "</voice></speak><voice name='en-US-GuyNeural'>Rosebud",
        "emoji 👩‍👩‍👧 مرحبا",
    ],
    ids=["signs", "markup", "other_scripts"],
)
async def test_a_text_reaches_the_service_as_it_is(server: SpeechServer, tts: AzureTTS, text: str) -> None:
    await speech_of(tts, text)
    document = ET.fromstring(server.ssml[-1])
    assert "".join(document.itertext()) == text
    assert len(document.findall("voice", NAMESPACE)) == 1


async def test_characters_that_xml_does_not_have_are_left_out(server: SpeechServer, tts: AzureTTS) -> None:
    await speech_of(tts, "one\x00two\x1b[31m\ud800\uffff")
    assert "".join(ET.fromstring(server.ssml[-1]).itertext()) == "one two [31m  "


@pytest.mark.parametrize(
    ("speed", "rate"), [(1.0, None), (1.25, "1.25"), (0.8, "0.80"), (3.0, "2.00"), (0.1, "0.50")]
)
async def test_the_speed_is_asked_for_within_what_the_service_can(
    server: SpeechServer, tts: AzureTTS, speed: float, rate: str | None
) -> None:
    await speech_of(tts, "Hello.", SpeechSettings(speed=speed))
    prosody = ET.fromstring(server.ssml[-1]).find("voice/prosody", NAMESPACE)
    assert (prosody.get("rate") if prosody is not None else None) == rate


OPTIONS = AzureTTSOptions(host=NOBODY)


@pytest.mark.parametrize(
    ("voice", "name", "language"),
    [
        (Voice(), "en-US-JennyNeural", "en-US"),
        (Voice(gender="male"), "en-US-GuyNeural", "en-US"),
        (Voice(gender="female", accent="polish"), "pl-PL-ZofiaNeural", "pl-PL"),
        (Voice(gender="male", accent="polish"), "pl-PL-MarekNeural", "pl-PL"),
        (Voice(gender="male", accent="American"), "en-US-GuyNeural", "en-US"),
        (Voice(gender="female", accent="british"), "en-GB-SoniaNeural", "en-GB"),
        (Voice(gender="male", accent="british"), "en-GB-RyanNeural", "en-GB"),
        (Voice(accent="british", language="pl-PL"), "en-GB-SoniaNeural", "en-GB"),
        (Voice(accent="unheard-of", language="pl"), "pl-PL-ZofiaNeural", "pl-PL"),
        (Voice(language="en"), "en-US-JennyNeural", "en-US"),
        (Voice(language="en-gb"), "en-GB-SoniaNeural", "en-GB"),
        (Voice(language="en-AU"), "en-US-JennyNeural", "en-US"),
        (Voice(language="de", gender="male"), "en-US-AndrewMultilingualNeural", "en-US"),
        (Voice(name="no such voice", language="pl"), "pl-PL-ZofiaNeural", "pl-PL"),
        (Voice(name="de-DE-KatjaNeural", language="pl"), "de-DE-KatjaNeural", "de-DE"),
        (Voice(name="zh-CN-liaoning-XiaobeiNeural"), "zh-CN-liaoning-XiaobeiNeural", "zh-CN-liaoning"),
        (Voice(name="en-US-Ava:DragonHDLatestNeural"), "en-US-Ava:DragonHDLatestNeural", "en-US"),
        (Voice(name="en-US-Guy'/><audio src='x'/>"), "en-US-JennyNeural", "en-US"),
    ],
)
@pytest.mark.contract("PI-21", "PI-18")
def test_the_voice_is_chosen_by_name_else_accent_else_language(
    voice: Voice, name: str, language: str
) -> None:
    assert chosen(voice, OPTIONS) == (name, language)


async def test_the_table_of_accents_can_be_replaced(server: SpeechServer) -> None:
    silesian = {"silesian": {"language": "pl-PL", "male": "pl-PL-MarekNeural"}}
    async with build(server, voices=silesian, accent="silesian") as tts:
        await speech_of(tts, "Hello.", SpeechSettings(Voice(gender="female", accent="silesian")))
    document = ET.fromstring(server.ssml[-1])
    voice = document.find("voice", NAMESPACE)
    assert voice is not None
    assert voice.get("name") == "pl-PL-MarekNeural"
    assert document.get("{http://www.w3.org/XML/1998/namespace}lang") == "pl-PL"


@pytest.mark.parametrize("text", ["", " \n", "...", "!? —", "\u200d"])
def test_signs_without_a_word_have_nothing_to_say(text: str) -> None:
    assert ssml(text, SpeechSettings(), OPTIONS) is None


async def test_no_thread_of_the_sdk_stays(server: SpeechServer) -> None:
    async with build(server) as tts:
        await speech_of(tts, "Yes.")  # threads of the pool are made
    before = native_threads()
    for key in ("good-key", Key.WRONG, Key.CUT):
        async with build(server, key=key) as tts:
            for _ in range(2):
                with suppress(JackfieldError):
                    async with aclosing(tts.synthesize(LONG, SpeechSettings())) as synthesis:
                        await anext(synthesis)
    await until(lambda: native_threads() <= before)


async def test_silence_of_the_service_does_not_hold_up_whoever_leaves(server: SpeechServer) -> None:
    async with build(server, key=Key.MUTE) as tts:
        with anyio.move_on_after(0.1) as listening:
            await speech_of(tts, "Yes.")
        begin = time.perf_counter()
    assert listening.cancelled_caught
    assert time.perf_counter() - begin < 2


async def test_neither_texts_nor_the_key_are_in_a_log(
    server: SpeechServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with build(server, key="Rosebud") as tts:
            await speech_of(tts, "Rosebud.")
    ours = [record for record in caplog.records if not record.name.startswith("websockets")]
    assert not [record for record in ours if "osebud" in record.getMessage()]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"region": "westeurope"},
        {"region": "westeurope", "host": NOBODY, "key": "k"},
        {"host": NOBODY, "accent": "martian"},
        {"host": NOBODY, "voices": {"american": {"language": "en-US"}}},
        {"host": NOBODY, "rate_hz": 11_025},
    ],
    ids=["nothing", "no_key", "two_places", "no_accent", "nobody", "rate"],
)
def test_options_that_do_not_fit_together_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AzureTTSOptions.model_validate(options)


def test_an_sdk_that_cannot_be_loaded_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_name: str) -> None:
        raise OSError("libuuid.so.1: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(account, "import_module", fail)
    with pytest.raises(PluginCannotStart, match=r"libuuid\.so\.1.*apt-get install libssl3 libuuid1"):
        make_tts(OPTIONS, SITE)


async def test_it_cannot_speak_before_it_is_entered(server: SpeechServer) -> None:
    with pytest.raises(RuntimeError, match="entered"):
        await speech_of(build(server), "Hello.")
