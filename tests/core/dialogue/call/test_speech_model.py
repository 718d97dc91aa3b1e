"""A call with a speech-to-speech model: what is heard, told and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from jackfield.contracts.call import (
    ReplyFinished,
    ReplyText,
    SpeechStarted,
    SpeechStopped,
    UserText,
)
from jackfield.contracts.extension import TurnFinished, TurnStarted
from jackfield.contracts.realtime import RealtimeSpeech, RealtimeText, RealtimeUsage
from jackfield.errors import ProtocolError
from jackfield.testing import VirtualClock
from tests.core.dialogue.call.duet import MODEL_HZ, Duet
from tests.core.dialogue.call.duet_talk import LONG, exchange, lost
from tests.core.dialogue.call.talk import Exchange

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


async def test_a_question_is_answered_and_both_are_kept(tmp_path: Path) -> None:
    duet = Duet()
    house = exchange(tmp_path, duet)
    async with house.call() as talk:
        duet.now.hear("What is the capital of Japan?")
        duet.now.speak("a", "Tokyo is the capital.", 1.5)
        finished = await talk.answered()

    assert (finished.text, finished.outcome) == ("Tokyo is the capital.", "ok")
    assert talk.finals() == ["What is the capital of Japan?"]
    assert [event.text for event in talk.leg.events(ReplyText)] == ["Tokyo is the capital."]
    assert len(talk.leg.events(SpeechStarted)) == len(talk.leg.events(SpeechStopped)) == 1
    assert sum(len(heard.pcm) for heard in talk.leg.heard) == 1.5 * 48_000
    assert await house.stage.stored() == [
        (True, "What is the capital of Japan?"),
        (False, "Tokyo is the capital."),
    ]


async def test_the_model_hears_everything_at_its_rate(tmp_path: Path) -> None:
    duet = Duet()
    async with exchange(tmp_path, duet).call() as talk:
        await talk.hush(1)
        await talk.say(1)
        await anyio.sleep(0)
    assert len(duet.now.pushed) / 2 / MODEL_HZ == pytest.approx(2, abs=0.01)


async def test_words_that_come_after_the_answer_are_kept_before_it(tmp_path: Path) -> None:
    duet = Duet()
    house = exchange(tmp_path, duet)
    async with house.call() as talk:
        duet.now.hear(None)
        duet.now.speak("a", "Tokyo.", 0.5)
        await talk.answered()
        duet.now.write("Which city?")
        await anyio.sleep(0.1)
        assert await house.stage.stored() == [(True, "Which city?"), (False, "Tokyo.")]


async def test_words_that_never_come_do_not_hold_back_the_answer(tmp_path: Path) -> None:
    duet = Duet()
    house = exchange(tmp_path, duet)
    async with house.call() as talk:
        duet.now.hear(None)
        duet.now.speak("a", "Tokyo.", 0.5)
        await talk.answered()
        await anyio.sleep(4)
        assert await house.stage.stored() == [(False, "Tokyo.")]


async def test_an_interruption_silences_it_and_keeps_what_was_heard(tmp_path: Path) -> None:
    duet = Duet()
    house = exchange(tmp_path, duet)
    async with house.call() as talk:
        duet.now.hear("Tell me of Rome.")
        duet.now.speak("a", LONG, 6)
        await talk.sounding()
        await anyio.sleep(2)
        duet.now.tell(RealtimeSpeech("started"))
        finished = await talk.answered()
        assert not talk.leg.playing
        duet.now.speak("a", "Never to be heard.", 1)
        await anyio.sleep(1)

    assert finished.outcome == "interrupted"
    assert finished.text
    assert LONG.startswith(finished.text)
    assert 20 < len(finished.text) < 50
    assert duet.now.interrupted == [pytest.approx(2000, abs=30)]
    assert await house.stage.stored() == [(True, "Tell me of Rome."), (False, finished.text)]
    assert talk.started_items() == 1
    assert house.stage.figures.named["jackfield_call_interruptions_total"].values == {("trial",): 1.0}


async def test_what_was_not_heard_at_all_leaves_its_question_open(tmp_path: Path) -> None:
    duet = Duet()
    house = exchange(tmp_path, duet)
    async with house.call() as talk:
        duet.now.hear("What is")
        duet.now.tell(RealtimeText("a", "It"))
        await anyio.sleep(0.1)
        duet.now.hear("the capital of Japan?")
        duet.now.speak("b", "Tokyo.", 0.5)
        await talk.answered(2)
    assert await house.stage.stored() == [(True, "What is the capital of Japan?"), (False, "Tokyo.")]


async def test_of_an_answer_that_was_heard_nothing_is_forgotten(tmp_path: Path) -> None:
    duet = Duet()
    async with exchange(tmp_path, duet).call() as talk:
        duet.now.hear("Tell me of Rome.")
        duet.now.speak("a", LONG, 6)
        await talk.answered()
        talk.call.text("And Paris?")
        await anyio.sleep(0.1)
        talk.call.text("And Berlin?")  # before anything is said of Paris
        await anyio.sleep(0.1)
        duet.now.speak("b", "Nor was Berlin.", 1)
        await talk.sounding(2)
        await anyio.sleep(0.5)
        talk.call.text("Thanks.")
        await anyio.sleep(0.1)
        assert duet.now.interrupted == [6000, pytest.approx(500, abs=30)]


async def test_typed_text_interrupts_and_is_answered(tmp_path: Path) -> None:
    duet = Duet()
    house = exchange(tmp_path, duet)
    async with house.call() as talk:
        duet.now.hear("Tell me of Rome.")
        duet.now.speak("a", LONG, 6)
        await talk.sounding()
        await anyio.sleep(2)
        talk.call.text("Stop that.")
        await anyio.sleep(0.1)
        duet.now.speak("b", "As you wish.", 0.5)
        await talk.answered(2)

    assert duet.now.injected == ["Stop that."]
    assert [user for user, _ in await house.stage.stored()] == [True, False, True, False]
    assert (await house.stage.stored())[2:] == [(True, "Stop that."), (False, "As you wish.")]


async def test_an_answer_that_begins_while_it_is_interrupted_does_not_hold_up_the_next(
    tmp_path: Path,
) -> None:
    duet = Duet()
    house = exchange(tmp_path, duet)
    async with house.call() as talk:
        duet.now.hear("Tell me of Rome.")
        await anyio.sleep(0.1)
        duet.now.speak("a", LONG, 0.2, done=False)  # has arrived, but nobody has looked at it
        talk.call.text("Of Paris, please.")
        await anyio.sleep(0.1)
        duet.now.speak("b", "Paris was not, either.", 0.5)
        finished = await talk.answered()
    assert (finished.text, finished.outcome) == ("Paris was not, either.", "ok")
    assert await house.stage.stored() == [
        (True, "Tell me of Rome. Of Paris, please."),
        (False, "Paris was not, either."),
    ]


async def test_a_second_item_is_heard_after_the_first(tmp_path: Path) -> None:
    duet = Duet()
    house = exchange(tmp_path, duet)
    async with house.call() as talk:
        duet.now.hear("Hello")
        duet.now.speak("a", "One moment.", 1)
        duet.now.speak("b", "Here it is.", 1)
        await talk.answered(2)
    assert [finished.outcome for finished in talk.leg.events(ReplyFinished)] == ["ok", "ok"]
    assert [heard.item for heard in talk.leg.heard] == [1, 2]
    assert (await house.stage.stored())[1:] == [(False, "One moment."), (False, "Here it is.")]


async def test_an_answer_is_interrupted_though_the_one_before_has_just_ended(tmp_path: Path) -> None:
    duet = Duet()
    async with exchange(tmp_path, duet).call() as talk:
        duet.now.hear("Tell me of Rome.")
        await anyio.sleep(0.1)
        talk.call.text("Of Paris, please.")
        await anyio.sleep(0.1)
        duet.now.tell(RealtimeUsage(20, 0))  # of the answer that nobody wants any more
        await anyio.sleep(0.1)
        talk.call.interrupt()
        await anyio.sleep(0.1)
    assert duet.now.interrupted == [0, 0]


async def test_another_scenario_is_told_to_the_model(tmp_path: Path) -> None:
    duet = Duet()
    parts = {"scenarios": {"pirate": {"instructions": "You are a pirate."}}}
    async with exchange(tmp_path, duet, config=parts).call() as talk:
        talk.call.switch("pirate")
        await anyio.sleep(0.1)
        with pytest.raises(ProtocolError):
            talk.call.switch("nobody")
    assert [settings.instructions for settings in duet.now.updates] == ["You are a pirate."]


async def test_the_greeting_is_the_models_and_is_kept(tmp_path: Path) -> None:
    duet = Duet()
    house = exchange(tmp_path, duet, config={"assistant": {"greeting": "Welcome!"}})
    async with house.call() as talk:
        await anyio.sleep(0.1)
        assert duet.now.said == ["Welcome!"]
        duet.now.speak("a", "Welcome!", 0.5)
        await talk.answered()
    assert await house.stage.stored() == [(False, "Welcome!")]


async def test_who_says_when_they_have_finished_is_answered_then(tmp_path: Path) -> None:
    duet = Duet()
    async with exchange(tmp_path, duet).call(turns="explicit") as talk:
        assert duet.now.settings.turns == "explicit"
        talk.call.begin_speech()
        await talk.say(0.5)
        talk.call.end_speech()
        await anyio.sleep(0.1)
        duet.now.write("Hello")
        duet.now.speak("a", "Hi.", 0.5)
        await talk.answered()
    assert duet.now.commits == 1
    assert talk.finals() == ["Hello"]


async def test_muting_lets_the_model_hear_the_end_of_what_was_said(tmp_path: Path) -> None:
    duet = Duet()
    async with exchange(tmp_path, duet).call() as talk:
        await talk.say(0.5)
        talk.call.mute(on=True)
        await talk.say(0.5)
    assert len(duet.now.pushed) / 2 / MODEL_HZ == pytest.approx(1.5, abs=0.01)
    assert duet.now.pushed[-20_000:] == bytes(20_000)


async def test_who_only_reads_is_shown_the_words(tmp_path: Path) -> None:
    duet = Duet()
    house = exchange(tmp_path, duet)
    async with house.call(speaks=False) as talk:
        talk.call.text("Hello")
        await anyio.sleep(0.1)
        duet.now.speak("a", "Hi there.", 1)
        finished = await talk.answered()
    assert (finished.text, finished.outcome) == ("Hi there.", "ok")
    assert not talk.leg.heard
    assert await house.stage.stored() == [(True, "Hello"), (False, "Hi there.")]


async def test_a_call_in_which_nobody_speaks_ends(tmp_path: Path) -> None:
    idle = {"call": {"pipeline": "realtime", "idle_seconds": 20}}
    async with exchange(tmp_path, Duet(), config=idle).call() as talk:
        await lost(talk)
    assert talk.reason == "idle"


async def test_what_was_heard_is_kept_when_the_user_hangs_up(tmp_path: Path) -> None:
    duet = Duet()
    house = exchange(tmp_path, duet)
    async with house.call() as talk:
        duet.now.hear("Tell me of Rome.")
        duet.now.speak("a", LONG, 6)
        await talk.sounding()
        await anyio.sleep(2)
    stored = await house.stage.stored()
    assert stored[0] == (True, "Tell me of Rome.")
    assert LONG.startswith(stored[1][1])


async def test_turns_and_figures_are_told(tmp_path: Path) -> None:
    duet = Duet()
    house = exchange(tmp_path, duet)
    figures = house.stage.figures.named
    async with house.call() as talk:
        assert figures["jackfield_realtime_sessions"].values == {("realtime",): 1.0}
        await talk.say(1)
        duet.now.hear("Hello")
        duet.now.speak("a", "Hi.", 0.5)
        await talk.answered()
        seconds = figures["jackfield_realtime_audio_seconds_total"].values
        assert seconds[("realtime", "out")] == pytest.approx(0.5)
    assert figures["jackfield_realtime_sessions"].values == {("realtime",): 0.0}
    assert figures["jackfield_tokens_total"].values == {
        ("trial", "prompt"): 20.0,
        ("trial", "completion"): 30.0,
    }
    assert seconds == {("realtime", "in"): pytest.approx(1.0), ("realtime", "out"): pytest.approx(0.5)}
    started = [event.turn for event in house.stage.events if isinstance(event, TurnStarted)]
    finished = [event for event in house.stage.events if isinstance(event, TurnFinished)]
    assert [event.turn for event in finished] == started
    assert [event.outcome for event in finished] == ["ok"]


async def test_a_call_without_such_a_model_is_refused(tmp_path: Path) -> None:
    house = Exchange(tmp_path)
    with pytest.raises(ProtocolError) as caught:
        async with house.call(pipeline="realtime"):
            pass
    assert caught.value.code == "voice_not_configured"


async def test_a_call_may_choose_the_cascade(tmp_path: Path) -> None:
    duet = Duet()
    async with exchange(tmp_path, duet).call(pipeline="cascade") as talk:
        await talk.ask()
        await talk.answered()
    assert not duet.sessions
    assert talk.leg.events(UserText)
