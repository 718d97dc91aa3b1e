"""Opening calls, and ending them: what is refused, how long they may last, what is left of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from jackfield.contracts.call import ReplyFinished, ReplyText, SpeechStarted
from jackfield.contracts.extension import CallDigit, CallEnded, CallStarted
from jackfield.contracts.llm import Finish
from jackfield.errors import ProtocolError
from jackfield.testing import FakeLLM, FakeSTT, FakeTTS, ManualLeg, VirtualClock
from jackfield_llm_echo import EchoLLM, EchoOptions
from tests.core.dialogue.call.duet import Duet
from tests.core.dialogue.call.talk import LETTER_S, Exchange, Talk, call_request, scripted
from tests.core.dialogue.stage import CONVERSATION, Stage, request

pytestmark = pytest.mark.anyio

HOSTS = {
    "assistant": {"greeting": "Good morning.", "instructions": "Be kind."},
    "scenarios": {
        "pirate": {"instructions": "Be a pirate.", "greeting": "Ahoy!"},
        "monk": {"instructions": "Be a monk.", "greeting": ""},
        "clerk": {"instructions": "Be a clerk."},
    },
}


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


async def refused(exchange: Exchange, **changes: Any) -> ProtocolError:
    with pytest.raises(ProtocolError) as error:
        async with exchange.service.open(call_request(**changes), ManualLeg()):
            pass
    return error.value


# Opening.


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"scenario": "nobody"}, 404, "scenario_not_found"),
        ({"llm": "nobody"}, 422, "invalid_request"),
        ({"stt": "nobody"}, 422, "invalid_request"),
        ({"tts": "nobody"}, 422, "invalid_request"),
    ],
)
async def test_what_is_not_configured_is_refused(
    tmp_path: Path, changes: dict[str, str], status: int, code: str
) -> None:
    error = await refused(Exchange(tmp_path), **changes)

    assert (error.status, error.code) == (status, code)


async def test_a_server_without_a_voice_takes_no_calls(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    exchange = Exchange(tmp_path)
    exchange.service = type(exchange.service)(
        stage.assembly,
        sessions=stage.sessions,
        scenarios=stage.assistant._scenarios,
        order=stage.assistant.order,
        metrics=stage.figures,
        publish=stage.events.append,
    )

    assert (await refused(exchange)).code == "voice_not_configured"


async def test_calls_beyond_the_limit_are_refused_until_another_ends(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, config={"call": {"max_calls": 1}})
    async with exchange.call():
        error = await refused(exchange)
        assert (error.status, error.code) == (503, "too_many_calls")
    async with exchange.call():
        pass


async def test_a_call_is_told_of_when_it_begins_and_ends(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)
    async with exchange.call() as talk:
        await talk.hush(3)
        assert exchange.stage.figures.named["jackfield_calls"].values == {("trial",): 1}

    started, ended = exchange.stage.events
    assert isinstance(started, CallStarted)
    assert isinstance(ended, CallEnded)
    assert (started.transport, started.session) == ("trial", exchange.stage.sessions.key(CONVERSATION))
    assert (ended.call, ended.reason) == (started.call, "hung_up")
    assert ended.duration_s == pytest.approx(3, abs=0.2)
    assert exchange.stage.figures.named["jackfield_calls"].values == {("trial",): 0}
    assert exchange.stage.figures.named["jackfield_calls_ended_total"].values == {("trial", "hung_up"): 1}


async def test_named_providers_are_used(tmp_path: Path) -> None:
    llm = FakeLLM()
    async with Exchange(tmp_path, named={"other": llm}).call(llm="other") as talk:
        await talk.ask()
        await talk.answered()

    assert len(llm.requests) == 1


# Greeting and scenarios.


@pytest.mark.parametrize(
    ("scenario", "greeting"), [(None, "Good morning."), ("pirate", "Ahoy!"), ("clerk", "Good morning.")]
)
async def test_a_call_begins_with_the_greeting(tmp_path: Path, scenario: str | None, greeting: str) -> None:
    exchange = Exchange(tmp_path, config=HOSTS)
    async with exchange.call(scenario=scenario) as talk:
        finished = await talk.answered()

    assert (finished.text, finished.outcome) == (greeting, "ok")
    assert talk.leg.events(ReplyText) == [ReplyText(1, greeting)]
    assert len(talk.leg.heard_pcm(1)) / 48_000 == pytest.approx(len(greeting) * LETTER_S, rel=0.05)
    assert await exchange.stage.stored() == [(False, greeting)]


async def test_phrases_are_spoken_once_the_greeting_first(tmp_path: Path) -> None:
    tts = FakeTTS(delay_s=0.1)
    exchange = Exchange(tmp_path, tts=tts, config=HOSTS)
    for _ in range(2):
        async with exchange.call() as talk:
            await talk.answered()

    assert tts.texts == ["Good morning.", exchange.stage.config.call.apology]


@pytest.mark.parametrize("changes", [{"scenario": "monk"}, {"greet": False}])
async def test_a_call_may_begin_without_a_greeting(tmp_path: Path, changes: dict[str, Any]) -> None:
    async with Exchange(tmp_path, config=HOSTS).call(**changes) as talk:
        await talk.hush(2)

    assert talk.leg.told == []


async def test_the_scenario_changes_with_the_next_answer(tmp_path: Path) -> None:
    llm = FakeLLM()
    async with Exchange(tmp_path, llm=llm, config=HOSTS).call(greet=False) as talk:
        await talk.ask()
        await talk.answered(1)
        talk.call.switch("pirate")
        await talk.ask()
        await talk.answered(2)

    assert [asked.messages[0].content for asked in llm.requests] == ["Be kind.", "Be a pirate."]
    assert len(llm.requests[1].messages) == 4


async def test_a_scenario_that_is_not_there_changes_nothing(tmp_path: Path) -> None:
    llm = FakeLLM()
    async with Exchange(tmp_path, llm=llm, config=HOSTS).call(greet=False) as talk:
        with pytest.raises(ProtocolError) as error:
            talk.call.switch("nobody")
        await talk.ask()
        await talk.answered()

    assert error.value.code == "scenario_not_found"
    assert llm.requests[0].messages[0].content == "Be kind."


# What the client may do besides talking.


async def test_nothing_is_heard_of_a_muted_user(tmp_path: Path) -> None:
    async with Exchange(tmp_path).call() as talk:
        talk.call.mute(on=True)
        await talk.ask()
        assert talk.leg.events(SpeechStarted) == []
        talk.call.mute(on=False)
        await talk.ask()
        await talk.answered()


async def test_what_was_said_before_muting_is_answered(tmp_path: Path) -> None:
    async with Exchange(tmp_path).call() as talk:
        await talk.say(0.5)
        talk.call.mute(on=True)
        await talk.answered()


async def test_a_pressed_key_is_told_to_observers(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)
    async with exchange.call() as talk:
        talk.call.digit("#")

    assert [e.digit for e in exchange.stage.events if isinstance(e, CallDigit)] == ["#"]


async def test_a_spoken_turn_waits_for_a_typed_one_of_the_same_conversation(tmp_path: Path) -> None:
    llm = FakeLLM(delay_s=1.0)
    exchange = Exchange(tmp_path, llm=llm, stt=scripted("spoken"))
    async with exchange.call() as talk, anyio.create_task_group() as tasks:

        async def type_it() -> None:
            await exchange.stage.say("typed")

        tasks.start_soon(type_it)
        await talk.ask()
        await talk.answered()

    assert [text for _, text in await exchange.stage.stored()] == [
        "typed",
        "Hello there.",
        "spoken",
        "Hello there.",
    ]
    assert request("typed").conversation == CONVERSATION


# The end.


async def test_a_call_in_which_nobody_speaks_is_ended(tmp_path: Path) -> None:
    async with Exchange(tmp_path, config={"call": {"idle_seconds": 30}}).call() as talk:
        await talk.hush(20)
        await talk.ask()
        spoke_s = anyio.current_time()
        await talk.ended.wait()

    assert talk.reason == "idle"
    assert anyio.current_time() - spoke_s == pytest.approx(30, abs=2)


@pytest.mark.parametrize("pipeline", ["cascade", "realtime"])
async def test_interrupting_nothing_does_not_keep_a_call(tmp_path: Path, pipeline: str) -> None:
    config = {"call": {"idle_seconds": 30, "pipeline": pipeline}}
    async with Exchange(tmp_path, config=config, realtime=Duet()).call() as talk:
        began_s = anyio.current_time()
        while talk.reason is None and anyio.current_time() - began_s < 60:
            await talk.hush(10)
            talk.call.interrupt()

    assert talk.reason == "idle"


async def test_a_call_is_not_idle_while_it_answers(tmp_path: Path) -> None:
    llm = FakeLLM(outputs=["word " * 300, Finish("stop")])
    async with Exchange(tmp_path, llm=llm, config={"call": {"idle_seconds": 30}}).call() as talk:
        talk.call.text("talk")
        finished = await talk.answered()

    assert finished.outcome == "ok"


async def test_a_call_has_a_greatest_length(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, config={"call": {"max_seconds": 10}})
    async with exchange.call() as talk:
        began_s = anyio.current_time()
        while talk.reason is None:
            await talk.ask()

    assert talk.reason == "too_long"
    assert anyio.current_time() - began_s == pytest.approx(10, abs=1)


async def test_what_was_heard_until_the_user_hung_up_is_stored(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, llm=FakeLLM(outputs=["One two three four five six. ", Finish("stop")]))
    async with exchange.call() as talk:
        await talk.ask()
        await talk.sounding()
        await talk.hush(0.6)
        talk.call.hang_up()
        await talk.ended.wait()

    assert [text for _, text in await exchange.stage.stored()] == ["hello there", "One two"]
    assert [e.outcome for e in talk.leg.events(ReplyFinished)] == ["interrupted"]


async def test_a_server_that_stops_ends_its_calls_and_takes_no_more(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, llm=FakeLLM(outputs=["One two three four five six. ", Finish("stop")]))
    async with anyio.create_task_group() as tasks, exchange.call() as talk:
        await talk.ask()
        await talk.sounding()
        await talk.hush(0.6)
        tasks.start_soon(exchange.service.shut_down)
        await talk.ended.wait()
        error = await refused(exchange)

    assert (error.status, error.code) == (503, "server_stopping")
    assert talk.reason == "shutdown"
    assert [text for _, text in await exchange.stage.stored()] == ["hello there", "One two"]
    assert exchange.stage.figures.named["jackfield_calls_ended_total"].values == {("trial", "shutdown"): 1}


async def test_a_server_without_calls_stops_at_once(tmp_path: Path) -> None:
    with anyio.fail_after(0.1):
        await Exchange(tmp_path).service.shut_down()


async def test_nothing_happens_after_the_end(tmp_path: Path) -> None:
    async with Exchange(tmp_path).call() as talk:
        talk.call.hang_up("bad_audio")
        await talk.ended.wait()
        talk.call.text("hello")
        talk.call.interrupt()
        talk.call.begin_speech()
        await talk.ask()
        talk.call.end_speech()
        talk.call.played(1)
        talk.call.hang_up()

    assert talk.leg.told == []
    assert talk.reason == "bad_audio"


async def test_a_call_may_be_told_things_before_it_runs(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, config=HOSTS)
    leg = ManualLeg()
    async with exchange.service.open(call_request(), leg) as call:
        leg.call = call
        call.text("early")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call.run)
            finished = await leg.told_of(ReplyFinished)
            call.hang_up()

    assert finished.text == "early"


async def test_a_call_that_was_hung_up_before_it_ran_ends_at_once(tmp_path: Path) -> None:
    async with Exchange(tmp_path).service.open(call_request(), ManualLeg()) as call:
        call.hang_up()

        assert await call.run() == "hung_up"


SLOW: Mapping[str, Mapping[str, Any]] = {
    "the recogniser": {"stt": FakeSTT(delay_s=3)},
    "the model": {"llm": EchoLLM(EchoOptions(delay_s=3))},
    "the voice": {"tts": FakeTTS(delay_s=3)},
    "nobody": {},
}


@pytest.mark.parametrize("slow", SLOW)
@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.3, 0.64, 0.7, 1.0, 1.4, 2.2])
async def test_hanging_up_at_any_moment_leaves_nothing_running(
    tmp_path: Path, slow: str, after_s: float
) -> None:
    before = asyncio.all_tasks()
    async with Exchange(tmp_path, **SLOW[slow]).call() as talk:
        await until(talk, after_s)
        with anyio.fail_after(0.2):
            talk.call.hang_up()
            await talk.ended.wait()
    for _ in range(3):
        await anyio.wait_all_tasks_blocked()

    assert asyncio.all_tasks() == before


async def test_a_cancelled_call_leaves_nothing_running(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    exchange = Exchange(tmp_path)
    leg = ManualLeg()
    async with exchange.service.open(call_request(), leg) as call:
        leg.call = call
        talk = Talk(call, leg)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call.run)
            await talk.ask()
            await talk.sounding()
            tasks.cancel_scope.cancel()

    assert asyncio.all_tasks() == before
    assert isinstance(exchange.stage.events[-1], CallEnded)


async def until(talk: Talk, after_s: float) -> None:
    """A turn, so many seconds from its beginning."""
    await talk.say(min(0.3, after_s))
    await talk.hush(max(0.0, after_s - 0.3))
