"""The speech-to-speech model `openai`, against a server on a real socket that speaks the protocol."""

from __future__ import annotations

import logging
import math
from array import array
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import anyio
import pytest

import jackfield_realtime_openai as plugin
from jackfield.contracts.llm import Message, ToolCall, ToolSpec
from jackfield.contracts.realtime import (
    Realtime,
    RealtimeAudio,
    RealtimeOutput,
    RealtimeSettings,
    RealtimeSpeech,
    RealtimeText,
    RealtimeUsage,
    SaysPhrases,
    TakesTurns,
)
from jackfield.contracts.stt import Transcript
from jackfield.contracts.tts import Voice
from jackfield.errors import (
    ProviderBadReply,
    ProviderRateLimited,
    ProviderTimedOut,
    ProviderUnauthorized,
    ProviderUnavailable,
)
from jackfield.plugin import Site
from jackfield.testing import FailureSuite, RealtimeSuite
from jackfield.testing.failure import Failing
from jackfield_realtime_openai import OpenAIRealtimeOptions
from jackfield_realtime_openai.conversation import Conversation, outputs_of
from jackfield_realtime_openai.model import OpenAIRealtime
from jackfield_realtime_openai.session import OpenAIRealtimeSession
from tests.core.resilience.chained import Witness
from tests.plugins.realtime.openai_realtime_server import KEY, RATE_HZ, RealtimeServer

pytestmark = pytest.mark.anyio

PLAIN = RealtimeSettings(instructions="You help.")
LOOKUP = ToolSpec("lookup", "Looks up.", {"type": "object", "properties": {"text": {"type": "string"}}})


def options(url: str, **others: Any) -> OpenAIRealtimeOptions:
    return OpenAIRealtimeOptions.model_validate({"base_url": url, "api_key": KEY, **others})


@asynccontextmanager
async def model(url: str, **others: Any) -> AsyncIterator[OpenAIRealtime]:
    built = plugin.make_realtime(
        options(url, **others), Site("realtime", "openai", logging.getLogger("jackfield.trial"))
    )
    async with built:
        yield built


@asynccontextmanager
async def session(
    server: RealtimeServer, settings: RealtimeSettings = PLAIN, **others: Any
) -> AsyncIterator[OpenAIRealtimeSession]:
    async with model(server.url, **others) as built, built.session(settings) as opened:
        yield opened


def speech(seconds: float) -> bytes:
    samples = range(round(seconds * RATE_HZ))
    return array("h", (round(8000 * math.sin(at / 9)) for at in samples)).tobytes()


async def until(
    outputs: AsyncIterator[RealtimeOutput], done: Callable[[RealtimeOutput], bool]
) -> list[RealtimeOutput]:
    read: list[RealtimeOutput] = []
    with anyio.fail_after(5):
        async for output in outputs:
            read.append(output)
            if done(output):
                return read
    raise AssertionError("The session ended.")


def is_end(output: RealtimeOutput) -> bool:
    return isinstance(output, RealtimeUsage)


def words(outputs: list[RealtimeOutput]) -> str:
    return "".join(output.text for output in outputs if isinstance(output, RealtimeText))


class TestSuite(RealtimeSuite):
    capabilities = plugin.plugin_info().capabilities(options("http://127.0.0.1:1/v1"))

    @pytest.fixture
    async def realtime(self, server: RealtimeServer) -> AsyncIterator[Realtime]:
        server.script.pause_s = 0.01
        async with model(server.url) as built:
            yield built


class TestChain(RealtimeSuite):
    """A chain whose first member is not there keeps the promises of the second."""

    capabilities = plugin.plugin_info().capabilities(options("http://127.0.0.1:1/v1"))

    @pytest.fixture
    async def realtime(self, server: RealtimeServer) -> AsyncIterator[Realtime]:
        server.script.pause_s = 0.01
        async with model("http://127.0.0.1:9/v1") as gone, model(server.url) as there:
            chain: Realtime = Witness().join("realtime", gone, there)
            yield chain


async def test_a_session_is_opened_in_the_shape_of_today(server: RealtimeServer) -> None:
    settings = RealtimeSettings("Be kind.", Voice(gender="male"), (LOOKUP,), "de-DE")
    async with session(server, settings, organization="org-1", silence_ms=300):
        told = server.of_type("session.update")[0]["session"]
    assert "openai-beta" not in server.headers[0]
    assert server.headers[0]["openai-organization"] == "org-1"
    assert (told["type"], told["instructions"], told["output_modalities"]) == (
        "realtime",
        "Be kind.",
        ["audio"],
    )
    assert told["audio"]["output"]["voice"] == "cedar"
    assert told["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24_000}
    assert told["audio"]["input"]["transcription"]["language"] == "de"
    assert told["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 300
    assert told["tools"][0]["name"] == "lookup"


async def test_what_was_said_is_answered_and_written_down(server: RealtimeServer) -> None:
    async with session(server) as talk, aclosing(talk._outputs()) as outputs:
        talk.push(speech(0.5))
        talk.push(bytes(RATE_HZ * 2))
        read = await until(outputs, is_end)
    assert [output.state for output in read if isinstance(output, RealtimeSpeech)] == ["started", "stopped"]
    finals = [output.text for output in read if isinstance(output, Transcript) and output.kind == "final"]
    assert finals == ["What is the capital of Japan?"]
    assert words(read) == "You said: What is the capital of Japan?"
    assert server.heard_s() == pytest.approx(1.5)


async def test_an_interruption_cuts_what_was_not_heard(server: RealtimeServer) -> None:
    server.script.pause_s = 0.01
    async with session(server) as talk, aclosing(talk._outputs()) as outputs:
        await talk.inject("Tell me a long story about a king and his three sons, please.")
        await until(outputs, lambda output: isinstance(output, RealtimeAudio))
        await talk.interrupt(120)
        await talk.inject("Stop.")
        read = await until(outputs, lambda output: isinstance(output, RealtimeText) and output.done)
    cut = server.of_type("conversation.item.truncate")[0]
    assert cut["audio_end_ms"] == 120
    assert server.of_type("response.cancel")[0]["response_id"].startswith("resp")
    assert words(read) == "You said: Stop."


async def test_no_more_than_came_is_said_to_have_been_heard(server: RealtimeServer) -> None:
    server.script.pause_s = 0.1
    async with session(server) as talk, aclosing(talk._outputs()) as outputs:
        await talk.inject("Tell me a story.")
        await until(outputs, lambda output: isinstance(output, RealtimeAudio))
        await talk.interrupt(60_000)
        await talk.inject("Go on")
        await until(outputs, is_end)
    assert server.of_type("conversation.item.truncate")[0]["audio_end_ms"] == 200


async def test_what_was_heard_to_its_end_is_not_cut(server: RealtimeServer) -> None:
    async with session(server) as talk, aclosing(talk._outputs()) as outputs:
        await talk.inject("Hi")
        await until(outputs, is_end)
        await talk.interrupt(600)
        await talk.inject("Go on")
        await until(outputs, is_end)
    assert not server.of_type("conversation.item.truncate")
    assert not server.of_type("response.cancel")


async def test_a_tool_is_called_and_its_result_spoken(server: RealtimeServer) -> None:
    settings = RealtimeSettings(tools=(LOOKUP,))
    async with session(server, settings) as talk, aclosing(talk._outputs()) as outputs:
        await talk.inject("Use the tool")
        read = await until(outputs, lambda output: isinstance(output, ToolCall))
        call = read[-1]
        assert isinstance(call, ToolCall)
        assert (call.name, call.arguments) == ("lookup", '{"text": "tea"}')
        await talk.tool_result(call.id, "It is hot.")
        read = await until(outputs, lambda output: isinstance(output, RealtimeText) and output.done)
    assert words(read) == "You said: Result: It is hot."


async def test_what_was_said_before_is_told_at_the_start(server: RealtimeServer) -> None:
    history = (Message("user", "I am Ada."), Message("assistant", "Hello Ada."))
    async with (
        session(server, RealtimeSettings(history=history)) as talk,
        aclosing(talk._outputs()) as outputs,
    ):
        await talk.inject("Who am I?")
        await until(outputs, is_end)
    told = [event["item"]["content"][0]["text"] for event in server.of_type("conversation.item.create")]
    assert told == ["I am Ada.", "Hello Ada.", "Who am I?"]


async def test_instructions_change_and_the_voice_stays_once_it_spoke(server: RealtimeServer) -> None:
    async with session(server) as talk, aclosing(talk._outputs()) as outputs:
        await talk.inject("Hi")
        await until(outputs, is_end)
        await talk.update(RealtimeSettings("Be brief.", Voice("ash")))
        await talk.inject("Hi")
        await until(outputs, is_end)
    told = server.of_type("session.update")[-1]["session"]
    assert told["instructions"] == "Be brief."
    assert "voice" not in told["audio"]["output"]


async def test_who_says_when_the_user_has_finished_commits_the_sound(server: RealtimeServer) -> None:
    settings = RealtimeSettings(turns="explicit")
    async with session(server, settings) as talk, aclosing(talk._outputs()) as outputs:
        assert isinstance(talk, TakesTurns)
        talk.push(speech(0.5))
        await talk.commit()
        read = await until(outputs, is_end)
        await talk.commit()
        await talk.inject("x")
        await until(outputs, is_end)
    assert server.of_type("session.update")[0]["session"]["audio"]["input"]["turn_detection"] is None
    assert words(read) == "You said: What is the capital of Japan?"
    assert [event["type"] for event in server.received].count("input_audio_buffer.commit") == 1


async def test_it_says_a_greeting_word_for_word(server: RealtimeServer) -> None:
    async with session(server) as talk, aclosing(talk._outputs()) as outputs:
        assert isinstance(talk, SaysPhrases)
        await talk.say("Welcome to the show!")
        read = await until(outputs, is_end)
    assert words(read) == "Welcome to the show!"


async def test_a_second_answer_is_asked_for_when_the_first_is_over(server: RealtimeServer) -> None:
    async with session(server) as talk, aclosing(talk._outputs()) as outputs:
        await talk.inject("One")
        await until(outputs, lambda output: isinstance(output, RealtimeAudio))
        await talk.inject("Two")
        read = await until(outputs, is_end)
        read += await until(outputs, is_end)
    assert words(read).endswith("You said: Two")


async def test_what_is_told_before_an_answer_begins_is_answered_too(server: RealtimeServer) -> None:
    async with session(server) as talk, aclosing(talk._outputs()) as outputs:
        assert isinstance(talk, SaysPhrases)
        await talk.say("Welcome!")
        await talk.inject("One")
        read = await until(outputs, is_end)
        read += await until(outputs, is_end)
    assert words(read) == "Welcome!You said: One"


async def test_what_is_told_while_the_service_answers_of_itself_is_answered_too(
    server: RealtimeServer,
) -> None:
    async with session(server) as talk, aclosing(talk._outputs()) as outputs:
        talk.push(speech(0.5) + bytes(RATE_HZ * 2))
        await talk.inject("One")
        read = await until(outputs, is_end)
        read += await until(outputs, is_end)
    assert words(read).endswith("You said: One")


async def test_an_answer_that_was_interrupted_before_it_began_is_not_heard(server: RealtimeServer) -> None:
    async with session(server) as talk, aclosing(talk._outputs()) as outputs:
        await talk.inject("One")
        await talk.interrupt(0)
        await talk.inject("Two")
        read = await until(outputs, is_end)
        while not words(read):
            read += await until(outputs, is_end)
    assert words(read) == "You said: Two"
    assert len(server.of_type("response.cancel")) == 1


async def test_an_error_of_another_event_does_not_hide_what_was_asked(server: RealtimeServer) -> None:
    async with session(server) as talk, aclosing(talk._outputs()) as outputs:
        await talk.tool_result("call_unknown", "nothing")
        await talk.inject("One")
        while (event := await talk._next())["type"] != "error":
            pass
        assert outputs_of(talk._conversation, event) == []
        await talk.interrupt(0)
        await talk.inject("Two")
        read = await until(outputs, is_end)
        while not words(read):
            read += await until(outputs, is_end)
    assert words(read) == "You said: Two"


def test_what_is_told_after_an_interruption_is_asked_again_when_the_service_is_busy() -> None:
    talk = Conversation(logging.getLogger("jackfield.trial"))
    talk.ask("event_1")
    talk.interrupt(0)
    talk.owes_response = True  # of what was told since
    outputs_of(talk, refused("event_1"))
    assert talk.owes_response


def test_what_was_interrupted_is_not_asked_again_when_the_service_is_busy() -> None:
    talk = Conversation(logging.getLogger("jackfield.trial"))
    talk.ask("event_1")
    outputs_of(talk, {"type": "response.created", "response": {"id": "its-own"}})
    talk.interrupt(0)
    outputs_of(talk, refused("event_1"))
    assert not talk.owes_response


def test_an_answer_that_is_refused_is_told_to_be_over() -> None:
    talk = Conversation(logging.getLogger("jackfield.trial"))
    talk.ask("event_1")
    error = {"type": "invalid_request_error", "code": "invalid_value", "event_id": "event_1"}
    assert outputs_of(talk, {"type": "error", "error": error}) == [RealtimeUsage(0, 0)]
    assert not talk.busy


def refused(name: str) -> dict[str, Any]:
    code = "conversation_already_has_active_response"
    return {"type": "error", "error": {"type": "invalid_request_error", "code": code, "event_id": name}}


async def test_an_answer_waits_for_the_results_of_all_tools(server: RealtimeServer) -> None:
    call = {"type": "function_call", "name": "lookup", "arguments": "{}"}
    async with session(server) as talk:
        tell = talk._conversation
        outputs_of(tell, {"type": "response.created", "response": {"id": "r"}})
        for name in ("one", "two"):
            item = call | {"id": f"item-{name}", "call_id": name, "status": "completed"}
            outputs_of(tell, {"type": "response.output_item.done", "response_id": "r", "item": item})
            if name == "one":
                await talk.tool_result("one", "1")
        outputs_of(tell, {"type": "response.done", "response": {"id": "r", "status": "completed"}})
        assert not tell.may_answer
        await talk.tool_result("two", "2")
        assert tell.asked
        assert not tell.owes_response


def test_a_call_of_a_tool_that_was_broken_off_is_none() -> None:
    talk = Conversation(logging.getLogger("jackfield.trial"))
    call = {"type": "function_call", "id": "i", "name": "lookup", "arguments": '{"te', "call_id": "c"}
    event = {"type": "response.output_item.done", "response_id": "r", "item": call | {"status": "incomplete"}}
    assert outputs_of(talk, event) == []
    assert not talk.answered("c")


async def test_of_a_turn_without_sound_nothing_is_written_down_or_answered(server: RealtimeServer) -> None:
    async with (
        session(server, RealtimeSettings(turns="explicit")) as talk,
        aclosing(talk._outputs()) as outputs,
    ):
        await talk.commit()
        read = await until(outputs, is_end)
    assert read == [Transcript("", "final", end_of_turn=True), RealtimeUsage(0, 0)]


def test_a_turn_without_sound_does_not_take_the_words_of_the_one_before() -> None:
    talk = Conversation(logging.getLogger("jackfield.trial"))
    outputs_of(talk, {"type": "input_audio_buffer.committed", "item_id": "one"})
    assert outputs_of(talk, {"type": "input_audio_buffer.cleared"}) == [RealtimeUsage(0, 0)]
    written = {"type": "conversation.item.input_audio_transcription.completed", "item_id": "one"}
    assert outputs_of(talk, written | {"transcript": "Hello"}) == [
        Transcript("Hello", "final", end_of_turn=True),
        Transcript("", "final", end_of_turn=True),
    ]


async def test_where_nothing_is_written_down_that_is_told(server: RealtimeServer) -> None:
    async with (
        session(server, transcription_model="") as talk,
        aclosing(talk._outputs()) as outputs,
    ):
        talk.push(speech(0.5) + bytes(RATE_HZ * 2))
        read = await until(outputs, is_end)
    assert [output for output in read if isinstance(output, Transcript)] == [
        Transcript("", "final", end_of_turn=True)
    ]


async def test_an_error_that_ends_nothing_is_logged_without_words(
    server: RealtimeServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with session(server, extra_session={"tracing": None}) as talk, aclosing(talk._outputs()) as outputs:
        await talk.tool_result("call_unknown", "the password is swordfish")
        await talk.inject("Hi")
        read = await until(outputs, is_end)
    assert words(read) == "You said: Hi"
    assert "invalid_tool_call_id" in caplog.text
    assert "swordfish" not in caplog.text


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"type": "server_error", "code": None}, ProviderUnavailable),
        ({"type": "tokens", "code": "rate_limit_exceeded"}, ProviderRateLimited),
        ({"type": "insufficient_quota", "code": "insufficient_quota"}, ProviderUnauthorized),
    ],
    ids=["server", "rate", "quota"],
)
async def test_a_failed_answer_ends_the_session(
    server: RealtimeServer, error: dict[str, Any], expected: type[Exception]
) -> None:
    server.script.fails = error
    async with session(server) as talk, aclosing(talk._outputs()) as outputs:
        await talk.inject("Hi")
        with pytest.raises(expected):
            await until(outputs, is_end)


async def test_a_connection_that_is_cut_is_told(server: RealtimeServer) -> None:
    server.script.drops = True
    async with session(server) as talk, aclosing(talk._outputs()) as outputs:
        await talk.inject("Tell me something long.")
        with pytest.raises(ProviderUnavailable):
            await until(outputs, is_end)
        talk.push(speech(0.1))
        await talk.interrupt(0)


async def test_no_connection_is_left_open(server: RealtimeServer) -> None:
    with anyio.fail_after(5):
        async with session(server):
            while server.open != 1:  # those of others may still be closing
                await anyio.sleep(0.01)
        while server.open:
            await anyio.sleep(0.01)


class Opening(FailureSuite):
    """A session that cannot be opened."""

    __test__ = False
    secrets = (KEY,)
    settings: dict[str, Any] = {}  # noqa: RUF012  # nobody changes it

    def spoil(self, server: RealtimeServer) -> None:
        """Make it fail."""

    @pytest.fixture
    async def failing(self, server: RealtimeServer) -> AsyncIterator[Failing]:
        self.spoil(server)
        async with model(server.url, **self.settings) as built:
            yield lambda: built.session(PLAIN).__aenter__()


class TestRateLimit(Opening):
    __test__ = True
    expected = ProviderRateLimited

    def spoil(self, server: RealtimeServer) -> None:
        server.script.refuses = 429

    async def test_it_tells_how_long_to_wait(self, failing: Failing) -> None:
        with pytest.raises(ProviderRateLimited) as caught:
            await failing()
        assert caught.value.retry_after_s == 7


class TestWrongKey(Opening):
    __test__ = True
    expected = ProviderUnauthorized
    secrets = ("sk-wrong",)
    settings = {"api_key": "sk-wrong"}  # noqa: RUF012


class TestRefusedSession(Opening):
    __test__ = True
    expected = ProviderBadReply

    def spoil(self, server: RealtimeServer) -> None:
        server.script.refuses_session = True


class TestSilence(Opening):
    __test__ = True
    expected = ProviderTimedOut
    settings = {"connect_s": 0.1}  # noqa: RUF012

    def spoil(self, server: RealtimeServer) -> None:
        server.script.stalls = True


class TestNobodyThere(Opening):
    __test__ = True
    expected = ProviderUnavailable
    settings = {"base_url": "http://127.0.0.1:9/v1"}  # noqa: RUF012
