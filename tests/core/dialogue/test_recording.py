"""Conversations that last: what is recorded of a turn, when, and what the model is told of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from jackfield.contracts.llm import Finish, GenerationRequest, LLMOutput
from jackfield.contracts.session import Conversation
from jackfield.contracts.turn import Recorded, Recording
from jackfield.errors import ProtocolError, ProviderUnauthorized, StoreUnavailable
from tests.core.dialogue.stage import USER, Stage, request

pytestmark = pytest.mark.anyio

LAST = "c1"


class Model:
    """Says `answers` one after the other, when it may; notes what it was told."""

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)
        self.told: list[list[str]] = []
        self.may_answer = anyio.Event()
        self.may_answer.set()

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        self.told.append([message.content for message in request.messages if message.role != "system"])
        await self.may_answer.wait()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        yield answer
        yield Finish("stop")


async def stage_with(folder: Path, model: Model) -> Stage:
    stage = Stage(folder, llm=model)
    now = datetime.now(UTC)
    await stage.store.add_conversation(Conversation(LAST, owner(stage), "Title", now, now))
    return stage


def owner(stage: Stage) -> str:
    return stage.sessions.owner(USER)


def lasting(stage: Stage, **changes: Any) -> Recording:
    return Recording(**{"owner": owner(stage), "conversation": LAST, "remembered": 20, **changes})


async def recorded(stage: Stage) -> list[tuple[str, str, str]]:
    page = await stage.store.records(owner(stage), LAST, limit=100)
    assert page is not None
    return [(record.role, record.content, record.status) for record in page.items]


async def test_question_and_answer_are_recorded_together_and_told(tmp_path: Path) -> None:
    stage = await stage_with(tmp_path, Model("Hi!"))

    outputs = await stage.outputs("Hello", recording=lasting(stage))

    assert [type(output).__name__ for output in outputs] == ["str", "Recorded", "Recorded", "Finish"]
    told = [output.record.content for output in outputs if isinstance(output, Recorded)]
    assert told == ["Hello", "Hi!"]
    assert await recorded(stage) == [("user", "Hello", "ok"), ("assistant", "Hi!", "ok")]
    assert await stage.stored() == []


async def test_the_model_is_told_the_newest_records(tmp_path: Path) -> None:
    model = Model("1", "2", "3")
    stage = await stage_with(tmp_path, model)

    for text in ("a", "b", "c"):
        await stage.say(text, recording=lasting(stage, remembered=4))

    assert model.told == [["a"], ["a", "1", "b"], ["b", "2", "c"]]


async def test_a_turn_may_be_recorded_and_remembered_by_its_window(tmp_path: Path) -> None:
    model = Model("1", "2")
    stage = await stage_with(tmp_path, model)

    for text in ("a", "b"):
        await stage.say(text, recording=lasting(stage, remembered=None))

    assert model.told[-1] == ["a", "1", "b"]
    assert await stage.stored() == [(True, "a"), (False, "1"), (True, "b"), (False, "2")]
    assert len(await recorded(stage)) == 4


async def test_a_failed_turn_records_nothing(tmp_path: Path) -> None:
    stage = await stage_with(tmp_path, Model(ProviderUnauthorized("no")))

    with pytest.raises(ProtocolError):
        await stage.say("Hello", recording=lasting(stage))

    assert await recorded(stage) == []


async def test_a_question_that_comes_first_is_told_before_the_model_is_asked(tmp_path: Path) -> None:
    model = Model("Hi!")
    stage = await stage_with(tmp_path, model)

    stream = stage.assistant.reply(request("Hello", recording=lasting(stage, question_first=True)))
    async with aclosing(stream) as outputs:
        first = await anext(outputs)
        assert isinstance(first, Recorded)
        assert await recorded(stage) == [("user", "Hello", "ok")]
        assert model.told == []
        rest = [output async for output in outputs]

    assert [type(output).__name__ for output in rest] == ["str", "Recorded", "Finish"]
    assert await recorded(stage) == [("user", "Hello", "ok"), ("assistant", "Hi!", "ok")]


async def test_a_question_without_an_answer_stays_is_marked_and_not_told_again(tmp_path: Path) -> None:
    model = Model(ProviderUnauthorized("no"), "Hi!")
    stage = await stage_with(tmp_path, model)

    with pytest.raises(ProtocolError):
        await stage.say("lost", recording=lasting(stage, question_first=True))
    await stage.say("Hello", recording=lasting(stage, question_first=True))

    assert await recorded(stage) == [
        ("user", "lost", "unanswered"),
        ("user", "Hello", "ok"),
        ("assistant", "Hi!", "ok"),
    ]
    assert model.told == [["lost"], ["Hello"]]


async def test_whoever_leaves_before_the_answer_leaves_a_marked_question_and_no_place(tmp_path: Path) -> None:
    stage = await stage_with(tmp_path, Model("Hi!"))

    stream = stage.assistant.reply(request("lost", recording=lasting(stage, question_first=True)))
    async with aclosing(stream) as outputs:
        await anext(outputs)
    await stage.say("Hello", recording=lasting(stage, question_first=True))

    assert [status for _, _, status in await recorded(stage)] == ["unanswered", "ok", "ok"]


async def test_whoever_leaves_in_the_middle_of_the_answer_leaves_a_marked_question(tmp_path: Path) -> None:
    stage = await stage_with(tmp_path, Model("Hi!"))

    stream = stage.assistant.reply(request("lost", recording=lasting(stage, question_first=True)))
    async with aclosing(stream) as outputs:
        async for output in outputs:
            if output == "Hi!":
                break

    assert await recorded(stage) == [("user", "lost", "unanswered")]


async def test_questions_that_came_later_and_wait_are_not_told(tmp_path: Path) -> None:
    model = Model("1", "2")
    stage = await stage_with(tmp_path, model)
    asking = [
        stage.assistant.reply(request(text, recording=lasting(stage, question_first=True)))
        for text in ("a", "b")
    ]
    for stream in asking:
        await anext(stream)  # both are recorded before either is answered

    for stream in asking:
        async for _ in stream:
            pass

    assert model.told == [["a"], ["a", "1", "b"]]


async def test_a_waiting_question_is_told_with_the_answer_to_the_one_before(tmp_path: Path) -> None:
    model = Model("1", "2")
    model.may_answer = anyio.Event()
    stage = await stage_with(tmp_path, model)
    waiting = anyio.Event()

    async def ask(text: str) -> None:
        stream = stage.assistant.reply(request(text, recording=lasting(stage, question_first=True)))
        async with aclosing(stream) as outputs:
            async for output in outputs:
                if isinstance(output, Recorded) and output.record.content == "b":
                    waiting.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, "a")
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(ask, "b")
        await waiting.wait()
        model.may_answer.set()

    assert model.told == [["a"], ["a", "1", "b"]]


@pytest.mark.parametrize("question_first", [False, True])
async def test_an_unknown_conversation_is_told(tmp_path: Path, question_first: bool) -> None:
    stage = await stage_with(tmp_path, Model("Hi!"))
    elsewhere = lasting(stage, conversation="another", question_first=question_first)

    with pytest.raises(ProtocolError) as caught:
        await stage.say("Hello", recording=elsewhere)

    assert (caught.value.status, caught.value.code) == (404, "conversation_not_found")


async def test_another_users_conversation_is_unknown(tmp_path: Path) -> None:
    stage = await stage_with(tmp_path, Model("Hi!"))

    with pytest.raises(ProtocolError, match="conversation_not_found"):
        await stage.say("Hello", recording=lasting(stage, owner="somebody/else"))


async def test_nothing_is_recorded_for_a_model_that_does_not_exist(tmp_path: Path) -> None:
    stage = await stage_with(tmp_path, Model())

    with pytest.raises(ProtocolError):
        await stage.say("Hello", llm="none", recording=lasting(stage, question_first=True))

    assert await recorded(stage) == []


async def titled(stage: Stage, conversation: str) -> str | None:
    found = await stage.store.conversation(owner(stage), conversation)
    return found.title if found else None


@pytest.mark.parametrize("question_first", [False, True])
async def test_a_conversation_may_begin_with_its_first_turn(tmp_path: Path, question_first: bool) -> None:
    stage = await stage_with(tmp_path, Model("Hi!", "Bye!"))
    new = lasting(stage, conversation="new", question_first=question_first)

    await stage.say("Hello", recording=replace(new, title="Greetings"))
    await stage.say("So long", recording=new)

    assert await titled(stage, "new") == "Greetings"
    assert await stage.store.count_records(owner(stage), "new") == 4


@pytest.mark.parametrize("question_first", [False, True])
async def test_no_conversation_begins_under_the_id_of_another_users(
    tmp_path: Path, question_first: bool
) -> None:
    stage = await stage_with(tmp_path, Model("Hi!"))
    taken = lasting(stage, owner="somebody/else", title="Mine", question_first=question_first)

    with pytest.raises(ProtocolError, match="conversation_not_found"):
        await stage.say("Hello", recording=taken)

    assert await recorded(stage) == []


async def test_a_turn_is_added_to_a_conversation_that_began_elsewhere_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = await stage_with(tmp_path, Model("Hi!"))
    add = stage.store.add_conversation

    async def add_late(conversation: Conversation) -> None:
        await add(conversation)
        await add(conversation)

    monkeypatch.setattr(stage.store, "add_conversation", add_late)
    await stage.say("Hello", recording=lasting(stage, conversation="new", title="Greetings"))

    assert await stage.store.count_records(owner(stage), "new") == 2


@pytest.mark.parametrize("remembered", [None, 20])
async def test_a_turn_begins_its_conversation_only_where_it_is_missing(
    tmp_path: Path, remembered: int | None
) -> None:
    model = Model("1", "2", "3")
    stage = await stage_with(tmp_path, model)
    either = lasting(stage, conversation="new", remembered=remembered, title="")

    for text in ("Hello", "And then?"):
        await stage.say(text, recording=either)
    await stage.store.delete_conversation(owner(stage), "new")
    await stage.say("Once more", recording=either)

    assert model.told[1] == ["Hello", "1", "And then?"]
    assert await titled(stage, "new") == "Once more"
    assert await stage.store.count_records(owner(stage), "new") == 2


async def test_a_conversation_without_a_title_is_named_after_its_first_question(tmp_path: Path) -> None:
    stage = await stage_with(tmp_path, Model("Hi!"))

    words = "What is\n the  " + "longest " * 12
    await stage.say(words, recording=lasting(stage, conversation="new", title=""))

    assert await titled(stage, "new") == "What is the " + "longest " * 5 + "longest"


async def test_a_first_turn_that_fails_begins_no_conversation(tmp_path: Path) -> None:
    stage = await stage_with(tmp_path, Model(ProviderUnauthorized("no")))

    with pytest.raises(ProtocolError):
        await stage.say("Hello", recording=lasting(stage, conversation="new", title="Greetings"))

    assert await titled(stage, "new") is None


async def test_a_first_turn_that_cannot_be_stored_begins_no_conversation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(user_id: str, records: object) -> bool:
        raise StoreUnavailable("full")

    stage = await stage_with(tmp_path, Model("Hi!"))
    monkeypatch.setattr(stage.store, "add_records", refuse)

    with pytest.raises(StoreUnavailable):
        await stage.say("Hello", recording=lasting(stage, conversation="new", title="Greetings"))

    assert await titled(stage, "new") is None


async def test_a_turn_of_its_own_needs_no_windows(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.sessions.windows = None

    assert await stage.say("Hello", storing="nothing") == "Hello"
