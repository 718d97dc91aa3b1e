"""A turn: what it yields, what it stores, and what it leaves when something goes wrong."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from jackfield.contracts.extension import Answer, ProviderFailed, SessionOpened, TurnFinished, TurnStarted
from jackfield.contracts.llm import Finish, GenerationRequest, LLMOutput, Message, ToolCall, ToolSpec
from jackfield.contracts.session import StoredMessage
from jackfield.contracts.tools import ToolContext
from jackfield.contracts.turn import ConversationRef, ToolFinished, ToolStarted, TurnOutput, TurnRequest
from jackfield.errors import (
    ContextTooLong,
    ProtocolError,
    ProviderBadReply,
    ProviderError,
    ProviderRefused,
    ProviderUnauthorized,
    ProviderUnavailable,
    StoreUnavailable,
)
from jackfield.testing import FakeLLM
from jackfield.testing.virtual_clock import VirtualClock
from jackfield_llm_echo import EchoLLM, EchoOptions
from jackfield_session_memory import MemoryOptions, MemoryStore
from tests.core.dialogue.stage import CONVERSATION, Stage, request

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


@dataclass
class Parrot:
    """A tool that repeats."""

    spec: ToolSpec = ToolSpec("parrot", "Repeats.")
    contexts: list[ToolContext] = field(default_factory=list)

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        self.contexts.append(context)
        return f"the parrot says {arguments.get('text')}"


@dataclass
class Script:
    """A language model with an answer for each request in turn; the last one is given for ever."""

    answers: Sequence[Sequence[LLMOutput | Exception | float]]
    requests: list[GenerationRequest] = field(default_factory=list)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        answer = self.answers[min(len(self.requests), len(self.answers) - 1)]
        self.requests.append(request)
        for step in answer:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, float):
                await anyio.sleep(step)
            else:
                yield step


async def failure(stage: Stage, text: str = "hello", **changes: Any) -> ProtocolError:
    with pytest.raises(ProtocolError) as error:
        await stage.outputs(text, **changes)
    return error.value


# What is yielded and stored.


async def test_an_answer_comes_in_pieces_with_one_finish_at_the_end(tmp_path: Path) -> None:
    *pieces, finish = await Stage(tmp_path).outputs("one two three")

    assert pieces == ["one ", "two ", "three"]
    assert isinstance(finish, Finish)
    assert (finish.reason, finish.model) == ("stop", "echo")


async def test_the_pair_is_stored_before_the_finish_is_seen(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    seen: list[int] = []
    async with aclosing(stage.assistant.reply(request("hello"))) as stream:
        seen += [len(await stage.stored()) async for _ in stream]

    assert seen == [0, 2]
    assert await stage.stored() == [(True, "hello"), (False, "hello")]


async def test_an_answer_is_stored_trimmed(tmp_path: Path) -> None:
    stage = Stage(tmp_path, llm=FakeLLM(outputs=("\n ", "Yes", ".\n", Finish("stop"))))

    assert await stage.say("hello") == "\n Yes.\n"
    assert await stage.stored() == [(True, "hello"), (False, "Yes.")]


async def test_a_turn_may_be_stored_not_at_all(tmp_path: Path) -> None:
    stage = Stage(tmp_path)

    assert await stage.say("hello", storing="nothing") == "hello"
    assert await stage.stored() == []


async def test_the_next_turn_is_told_of_the_one_before(tmp_path: Path) -> None:
    llm = FakeLLM()
    stage = Stage(tmp_path, llm=llm)
    await stage.say("first")
    await stage.say("second")

    assert [message.content for message in llm.requests[1].messages[1:]] == [
        "first",
        "Hello there.",
        "second",
    ]


async def test_a_model_is_told_what_the_file_says(tmp_path: Path) -> None:
    llm = FakeLLM()
    assistant = {"instructions": "Hi {username}", "temperature": 0.3, "max_tokens": 7}
    stage = Stage(tmp_path, llm=llm, config={"assistant": assistant})
    await stage.say("hello", username="Ada")
    await stage.say("hello")
    first, second = llm.requests

    assert first.messages == (Message("system", "Hi Ada"), Message("user", "hello"))
    assert (first.temperature, first.max_tokens, first.tools) == (0.3, 7, ())
    assert first.conversation == second.conversation == stage.sessions.key(CONVERSATION)
    assert first.user == second.user
    assert first.user is not None
    assert "ada" not in first.user


async def test_a_named_model_answers_when_it_is_asked_for_or_when_the_scenario_says_so(
    tmp_path: Path,
) -> None:
    scenario = {"instructions": "x", "llm": "loud"}
    stage = Stage(
        tmp_path,
        named={"loud": EchoLLM(EchoOptions(prefix="LOUD ")), "low": EchoLLM(EchoOptions(prefix="low "))},
        config={"scenarios": {"show": scenario}},
    )

    assert await stage.say("a") == "a"
    assert await stage.say("a", llm="low") == "low a"
    assert await stage.say("a", scenario="show") == "LOUD a"
    assert await stage.say("a", scenario="show", llm="low") == "low a"


async def test_an_unknown_model_or_scenario_is_the_clients_mistake(tmp_path: Path) -> None:
    stage = Stage(tmp_path)

    error = await failure(stage, llm="nobody")
    assert (error.status, error.code, error.errors[0].code) == (422, "invalid_request", "invalid_choice")
    assert (await failure(stage, scenario="nowhere")).status == 404
    assert stage.events == []


async def test_only_the_first_turn_is_the_first(tmp_path: Path) -> None:
    seen: list[bool] = []

    class Watch:
        def around_turn(self, request: TurnRequest, answer: Answer) -> AsyncGenerator[TurnOutput, None]:
            seen.append(request.first)
            return answer(request)

    stage = Stage(tmp_path, wrappers=[Watch()])
    await stage.say("a", storing="nothing")
    await stage.sessions.set_preferences(CONVERSATION, {})
    greeting = StoredMessage("hello", "voice", datetime.now(UTC), is_user=False)
    await stage.sessions.append(CONVERSATION, [greeting], "intercom")
    await stage.say("b")
    await stage.say("c")

    assert seen == [True, True, False]


async def test_turns_of_one_conversation_never_mix(tmp_path: Path) -> None:
    stage = Stage(
        tmp_path,
        llm=EchoLLM(EchoOptions(delay_s=0.1)),
        config={"session": {"max_messages": 100}, "limits": {"waiting_turns": 20}},
    )
    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(stage.say, f"turn {number}")

    assert await stage.stored() == [
        (is_user, f"turn {number}") for number in range(20) for is_user in (True, False)
    ]


async def test_different_conversations_are_answered_at_once(tmp_path: Path) -> None:
    stage = Stage(tmp_path, llm=EchoLLM(EchoOptions(delay_s=10)))
    began_s = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        for number in range(5):
            other = ConversationRef("", CONVERSATION.user, str(number))
            tasks.start_soon(lambda other: stage.say("hello", conversation=other), other)

    assert anyio.current_time() - began_s == pytest.approx(10)


# Failures.


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ProviderUnavailable, 502, "llm_failed"),
        (ProviderUnauthorized, 502, "llm_failed"),
        (ProviderBadReply, 502, "llm_failed"),
        (ProviderRefused, 502, "llm_failed"),
        (ContextTooLong, 422, "invalid_request"),
    ],
)
@pytest.mark.parametrize("outputs", [(), ("Half an ans",)])
async def test_a_failing_model_is_told_by_its_code_and_nothing_is_stored(
    tmp_path: Path, error: type[ProviderError], status: int, code: str, outputs: tuple[str, ...]
) -> None:
    stage = Stage(tmp_path, llm=FakeLLM(outputs=outputs, error=lambda: error("secret-123")))
    await stage.sessions.set_preferences(CONVERSATION, {"voice": {"name": "x"}})
    before = await stage.window()

    told = await failure(stage)

    assert (told.status, told.code) == (status, code)
    assert "secret-123" not in f"{told} {told.errors}"
    assert await stage.window() == before
    assert stage.kinds() == ["TurnStarted", "ProviderFailed", "TurnFinished"]


async def test_what_the_provider_said_is_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(tmp_path, llm=FakeLLM(outputs=(), error=lambda: ProviderBadReply("secret-123")))

    await failure(stage)

    assert "llm (echo) failed: ProviderBadReply: secret-123" in caplog.text


@pytest.mark.parametrize("outputs", [(), ("",), (" \n", "\t"), (Finish("stop"),), (" ", Finish("length"))])
async def test_an_empty_answer_is_a_failure_of_the_model(
    tmp_path: Path, outputs: tuple[LLMOutput, ...]
) -> None:
    stage = Stage(tmp_path, llm=FakeLLM(outputs=outputs))

    assert (await failure(stage)).code == "llm_failed"
    assert await stage.stored() == []


async def test_a_model_that_says_nothing_is_left_in_time(tmp_path: Path) -> None:
    llm = FakeLLM(hangs_at=0)
    stage = Stage(tmp_path, llm=llm, config={"timeouts": {"llm_first_seconds": 30}})
    began_s = anyio.current_time()

    error = await failure(stage)

    assert (error.status, error.code) == (504, "llm_timeout")
    assert anyio.current_time() - began_s == pytest.approx(30)
    assert llm.closed == 1
    assert await stage.stored() == []


async def test_a_model_that_stalls_is_left_when_all_its_time_is_over(tmp_path: Path) -> None:
    stage = Stage(tmp_path, llm=FakeLLM(hangs_at=1))
    began_s = anyio.current_time()

    assert (await failure(stage)).code == "llm_timeout"
    assert anyio.current_time() - began_s == pytest.approx(60)


async def test_a_failure_that_passes_is_not_seen(tmp_path: Path) -> None:
    stage = Stage(tmp_path, llm=Script([[ProviderUnavailable("1")], [" ", ProviderUnavailable("2")], ["Hi"]]))

    assert await stage.say("hello") == " Hi"
    assert "ProviderFailed" not in stage.kinds()


async def test_a_store_that_fails_is_told_as_such_and_the_model_is_not_blamed(tmp_path: Path) -> None:
    class ReadOnly(MemoryStore):
        async def append(self, *args: Any, **kwargs: Any) -> bool:
            raise StoreUnavailable("read-only")

    stage = Stage(tmp_path, store=ReadOnly(MemoryOptions()))

    with pytest.raises(StoreUnavailable):
        await stage.outputs("hello")
    assert stage.kinds() == ["TurnStarted", "TurnFinished"]


async def test_a_store_that_cannot_be_read_stops_the_turn_before_the_model(tmp_path: Path) -> None:
    class WriteOnly(MemoryStore):
        async def load(self, key: str) -> Any:
            raise StoreUnavailable("write-only")

    llm = FakeLLM()
    stage = Stage(tmp_path, llm=llm, store=WriteOnly(MemoryOptions()))

    with pytest.raises(StoreUnavailable):
        await stage.outputs("hello")
    assert llm.requests == []


async def test_a_model_that_breaks_its_contract_fails_the_turn(tmp_path: Path) -> None:
    stage = Stage(tmp_path, llm=FakeLLM(outputs=("Half",), error=lambda: KeyError("secret")))

    with pytest.raises(KeyError):
        await stage.outputs("hello")
    assert await stage.stored() == []
    finished = stage.events[-1]
    assert isinstance(finished, TurnFinished)
    assert finished.outcome == "failed"


# Going away.


async def test_closing_half_way_cancels_the_turn_and_stores_nothing(tmp_path: Path) -> None:
    llm = FakeLLM(hangs_at=1)
    stage = Stage(tmp_path, llm=llm)
    async with aclosing(stage.assistant.reply(request("hello"))) as stream:
        assert await anext(stream) == "Hello "

    assert llm.closed == 1
    assert await stage.stored() == []
    finished = stage.events[-1]
    assert isinstance(finished, TurnFinished)
    assert finished.outcome == "cancelled"
    assert vars(stage.assistant.order)["_waiting"] == {}


async def test_cancelling_the_consumer_cancels_the_turn(tmp_path: Path) -> None:
    llm = FakeLLM(hangs_at=1)
    stage = Stage(tmp_path, llm=llm)

    with anyio.move_on_after(5) as scope:
        await stage.outputs("hello")

    assert scope.cancelled_caught
    assert llm.closed == 1
    assert await stage.stored() == []
    assert (await failure(Stage(tmp_path, llm=FakeLLM(outputs=())))).code == "llm_failed"


async def test_a_turn_that_is_given_up_lets_the_next_one_begin(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    async with aclosing(stage.assistant.reply(request("first"))) as stream:
        await anext(stream)

    assert await stage.say("second") == "second"


async def test_closing_after_the_finish_keeps_what_was_stored(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    async with aclosing(stage.assistant.reply(request("hello"))) as stream:
        async for output in stream:
            if isinstance(output, Finish):
                break

    assert len(await stage.stored()) == 2
    finished = stage.events[-1]
    assert isinstance(finished, TurnFinished)
    assert finished.outcome == "ok"


async def test_no_task_is_left_behind(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    stage = Stage(tmp_path)
    await stage.say("hello")
    async with aclosing(stage.assistant.reply(request("first"))) as stream:
        await anext(stream)

    assert asyncio.all_tasks() == before


# Tools.


async def test_a_tool_is_called_and_its_result_told_to_the_model(tmp_path: Path) -> None:
    parrot = Parrot()
    stage = Stage(tmp_path, llm=EchoLLM(EchoOptions(tool="parrot")), tools=[parrot])

    started, finished, *said, _ = await stage.outputs("hello")

    assert started == ToolStarted("echo-2", "parrot")
    assert isinstance(finished, ToolFinished)
    assert finished.ok
    assert "".join(map(str, said)) == "the parrot says hello"
    assert parrot.contexts == [ToolContext(CONVERSATION.user, stage.sessions.key(CONVERSATION))]
    assert await stage.stored() == [(True, "hello"), (False, "the parrot says hello")]


async def test_calls_and_results_stand_in_the_next_prompt(tmp_path: Path) -> None:
    calls = [ToolCall("1", "parrot", '{"text": "a"}'), ToolCall("2", "saw", "{}")]
    llm = Script([["Let me see.", *calls, Finish("tool_calls")], ["Done.", Finish("stop")]])
    stage = Stage(tmp_path, llm=llm, tools=[Parrot()])

    answer = await stage.say("hello")

    assert llm.requests[1].messages[-3:] == (
        Message("assistant", "Let me see.", tool_calls=tuple(calls)),
        Message("tool", "the parrot says a", tool_call_id="1"),
        Message("tool", "There is no tool saw.", tool_call_id="2"),
    )
    assert answer == "Let me see.\nDone."


async def test_rounds_of_tools_are_bounded_and_the_last_answer_comes_without_them(tmp_path: Path) -> None:
    ask, end = ToolCall("1", "parrot", "{}"), Finish("tool_calls")
    llm = Script([[ask, end], [ask, end], [ask, end], ["Enough.", ask, end]])
    stage = Stage(tmp_path, llm=llm, tools=[Parrot()], config={"assistant": {"tool_rounds": 3}})

    outputs = await stage.outputs("hello")

    assert [bool(each.tools) for each in llm.requests] == [True, True, True, False]
    assert sum(isinstance(output, ToolStarted) for output in outputs) == 3
    assert [output for output in outputs if isinstance(output, str)] == ["Enough."]
    assert isinstance(outputs[-1], Finish)


async def test_rounds_share_the_time_that_the_model_has(tmp_path: Path) -> None:
    ask = ToolCall("1", "parrot", "{}")
    stage = Stage(tmp_path, llm=Script([[20.0, ask]]), tools=[Parrot()])
    began_s = anyio.current_time()

    assert (await failure(stage)).code == "llm_timeout"
    assert anyio.current_time() - began_s == pytest.approx(60)


async def test_going_away_during_a_tool_cancels_it(tmp_path: Path) -> None:
    class Slow(Parrot):
        async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
            await anyio.sleep_forever()
            return ""

    llm = EchoLLM(EchoOptions(tool="parrot"))
    stage = Stage(tmp_path, llm=llm, tools=[Slow()], config={"timeouts": {"tool_seconds": 90}})
    with anyio.move_on_after(10) as scope:
        await stage.outputs("hello")

    assert scope.cancelled_caught
    assert await stage.stored() == []


# Extensions round turns.


@dataclass
class Mark:
    """Puts its name round every answer."""

    name: str
    log: list[str]

    async def around_turn(self, request: TurnRequest, answer: Answer) -> AsyncGenerator[TurnOutput, None]:
        self.log.append(self.name)
        yield f"<{self.name}>"
        async with aclosing(answer(replace(request, text=f"{request.text}{self.name}"))) as outputs:
            async for output in outputs:
                yield output


async def test_the_first_extension_of_the_file_is_the_outermost(tmp_path: Path) -> None:
    log: list[str] = []
    stage = Stage(tmp_path, wrappers=[Mark("a", log), Mark("b", log)])

    assert await stage.say("x") == "<a><b>xab"
    assert log == ["a", "b"]


async def test_what_extensions_make_of_an_answer_is_stored_with_what_the_user_said(tmp_path: Path) -> None:
    stage = Stage(tmp_path, wrappers=[Mark("a", [])])
    await stage.say("x")

    assert await stage.stored() == [(True, "x"), (False, "<a>xa")]


async def test_an_extension_may_answer_without_the_model(tmp_path: Path) -> None:
    class Cache:
        async def around_turn(self, request: TurnRequest, answer: Answer) -> AsyncGenerator[TurnOutput, None]:
            yield "from the cache"

    llm = FakeLLM()
    stage = Stage(tmp_path, llm=llm, wrappers=[Cache()])

    assert await stage.outputs("hello") == ["from the cache", Finish("stop")]
    assert llm.requests == []
    assert await stage.stored() == [(True, "hello"), (False, "from the cache")]


async def test_extensions_are_told_who_answers_and_what_the_prompt_begins_with(tmp_path: Path) -> None:
    seen: list[TurnRequest] = []

    class Watch:
        async def around_turn(self, request: TurnRequest, answer: Answer) -> AsyncGenerator[TurnOutput, None]:
            seen.append(request)
            yield "said"

    llm = FakeLLM()
    config = {"assistant": {"instructions": "You talk to {username}."}}
    stage = Stage(tmp_path, named={"small": llm}, wrappers=[Watch()], config=config)
    await stage.say("hello", llm="small", username="Ann")

    assert seen[0].answered_by == "llm.named.small echo"
    assert seen[0].opening == (Message("system", "You talk to Ann."),)


async def test_a_model_that_fails_inside_extensions_is_told_all_the_same(tmp_path: Path) -> None:
    stage = Stage(
        tmp_path,
        llm=FakeLLM(outputs=(), error=lambda: ProviderUnauthorized("no")),
        wrappers=[Mark("a", [])],
    )

    assert (await failure(stage)).code == "llm_failed"
    assert await stage.stored() == []


# Telling how it went.


async def test_a_turn_is_told_of_in_events_and_figures(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    await stage.say("hello")
    started, opened, finished = stage.events
    key = stage.sessions.key(CONVERSATION)

    assert isinstance(started, TurnStarted)
    assert started == TurnStarted("trial", key, started.turn)
    assert opened == SessionOpened("trial", key)
    assert isinstance(finished, TurnFinished)
    assert (finished.outcome, finished.turn) == ("ok", started.turn)
    assert list(finished.waterfall) == ["first_token", "answered", "stored"]
    labels = [labels for _, labels in stage.figures.named["jackfield_stage_seconds"].observed]
    assert labels == [("trial", "first_token"), ("trial", "answered"), ("trial", "stored")]


async def test_a_failing_provider_is_an_event_without_its_words(tmp_path: Path) -> None:
    stage = Stage(tmp_path, llm=FakeLLM(outputs=(), error=lambda: ProviderUnauthorized("secret-123")))
    await failure(stage)

    assert ProviderFailed("llm", "echo", "ProviderUnauthorized") in stage.events


@pytest.mark.parametrize("make", [FakeLLM, lambda: FakeLLM(hangs_at=1)])
async def test_the_log_tells_of_a_turn_without_a_word_of_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, make: Callable[[], FakeLLM]
) -> None:
    stage = Stage(tmp_path, llm=make())
    with caplog.at_level(logging.DEBUG), anyio.move_on_after(1):
        await stage.say("a question of mine", username="Ada")

    assert "turn " in caplog.text
    for secret in ("question of mine", "Hello", "there", "Ada", "ada", "session-1"):
        assert secret not in caplog.text


async def test_stored_messages_say_when_who_and_how(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    await stage.say("hello", message_type="voice")
    asked, answered = (await stage.window()).messages

    assert isinstance(asked, StoredMessage)
    assert (asked.is_user, answered.is_user) == (True, False)
    assert asked.type == answered.type == "voice"
    assert asked.timestamp == answered.timestamp
    assert asked.timestamp.utcoffset() is not None
