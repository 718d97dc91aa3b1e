"""The plugin `openai`, against a server on a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import anyio
import pytest

from jackfield.contracts.llm import Finish, GenerationRequest, Message, ToolCall, ToolSpec, Usage
from jackfield.errors import (
    ProviderUnavailable,
)
from jackfield.testing.llm import answer_of
from tests.plugins.http_service import Asked, Reply, Service, serving
from tests.plugins.llm.openai_chat import (
    DONE,
    HELLO,
    KEY,
    SECRET_WORDS,
    HangsUp,
    answering,
    connected,
    delta,
    event,
    failing,
    part,
    said,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with serving(answering(*said("Hello", " there"))) as service:
        yield service


async def test_text_comes_as_it_is_sent_and_the_end_has_usage(service: Service) -> None:
    async with connected(service.url) as llm:
        outputs = [output async for output in llm.generate(HELLO)]
    assert outputs == ["Hello", " there", Finish("stop", Usage(9, 2, 4), "m", "openai")]


async def test_the_request_is_a_streamed_chat_completion_with_the_key(service: Service) -> None:
    async with connected(service.url) as llm:
        await answer_of(llm, HELLO)
    (asked,) = service.asked
    assert (asked.method, asked.path) == ("POST", "/v1/chat/completions")
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.json == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": SECRET_WORDS}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_a_tool_round_is_written_as_the_service_expects_it(service: Service) -> None:
    messages = (
        Message("user", "What time is it? \ud800"),
        Message("assistant", "", (ToolCall("c1", "clock", '{"zone": "UTC"}'),)),
        Message("tool", "noon", tool_call_id="c1"),
    )
    tools = (ToolSpec("clock", "Tells the time."),)
    async with connected(service.url) as llm:
        await answer_of(llm, GenerationRequest(messages, tools))
    body = service.asked[0].json
    function = {"name": "clock", "arguments": '{"zone": "UTC"}'}
    assert body["messages"] == [
        {"role": "user", "content": "What time is it? ?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": function}],
        },
        {"role": "tool", "content": "noon", "tool_call_id": "c1"},
    ]
    assert body["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "clock",
                "description": "Tells the time.",
                "parameters": {"type": "object", "properties": {}},
            },
        }
    ]


async def calls_of(service: Service, *pieces: bytes) -> tuple[tuple[ToolCall, ...], Finish]:
    service.handler = answering(*pieces, DONE)
    async with connected(service.url) as llm:
        answer = await answer_of(llm, HELLO)
    return answer.calls, answer.finish


async def test_tool_calls_in_parts_are_put_together(service: Service) -> None:
    calls, finish = await calls_of(
        service,
        delta(
            role="assistant", content=None, tool_calls=[part(0, "", id="a", type="function", name="clock")]
        ),
        delta(tool_calls=[part(0, '{"zo')]),
        delta(tool_calls=[part(1, "", id="b", type="function", name="stop"), part(0, 'ne": 1}')]),
        delta("tool_calls"),
    )
    assert calls == (ToolCall("a", "clock", '{"zone": 1}'), ToolCall("b", "stop", "{}"))
    assert finish.reason == "tool_calls"


async def test_whole_calls_under_one_number_are_told_apart_and_a_missing_id_is_made_up(
    service: Service,
) -> None:
    calls, finish = await calls_of(
        service,
        delta(tool_calls=[part(0, "{}", id="a", name="clock"), part(0, "{}", id="b", name="clock")]),
        delta(tool_calls=[part(3, '{"x": 1}', name="stop")]),
        delta("stop"),
    )
    assert [call.id for call in calls] == ["a", "b", "call_3"]
    assert finish.reason == "tool_calls"


async def test_a_call_that_the_bound_of_the_answer_cut_short_is_no_call(service: Service) -> None:
    calls, finish = await calls_of(
        service, delta(tool_calls=[part(0, '{"zo', id="a", name="clock")]), delta("length")
    )
    assert (calls, finish.reason) == ((), "length")


@pytest.mark.parametrize(
    "rewritten",
    [
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: data.replace(b"data: ", b"data:"),
        lambda data: b": keep-alive\n\n" + data.replace(b"data: ", b"id: 7\nevent: message\ndata: "),
        lambda data: data.replace(b', "choices"', b',\ndata: "choices"'),
        lambda data: data.replace(DONE, b""),
    ],
    ids=["carriage_returns", "no_space", "comments_and_names", "data_in_lines", "no_done"],
)
@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_every_way_to_write_the_events_is_read_in_portions_of_every_size(
    service: Service, rewritten: Callable[[bytes], bytes], size: int
) -> None:
    data = rewritten(b"".join(said("Grüße", " 👍🏽 there")))
    service.handler = answering(*(data[at : at + size] for at in range(0, len(data), size)))
    async with connected(service.url) as llm:
        answer = await answer_of(llm, HELLO)
    assert answer.text == "Grüße 👍🏽 there"
    assert answer.finish.usage == Usage(9, 2, 4)


async def test_empty_choices_and_members_that_are_null_are_passed_over(service: Service) -> None:
    service.handler = answering(
        event(choices=[], prompt_filter_results=[{"prompt_index": 0}], model=""),
        event(choices=[{"index": 0, "delta": None, "finish_reason": None}]),
        delta(role="assistant", content=None, refusal=None, tool_calls=None, obfuscation="x"),
        delta(content="Hi"),
        delta("stop"),
        DONE,
    )
    async with connected(service.url) as llm:
        answer = await answer_of(llm, HELLO)
    assert (answer.text, answer.finish) == ("Hi", Finish("stop", None, "m", "openai"))


async def test_an_answer_is_not_lost_with_a_count_of_tokens_that_lacks_some(service: Service) -> None:
    service.handler = answering(delta(content="Hi"), delta("stop"), event(usage={"total_tokens": 5}), DONE)
    async with connected(service.url) as llm:
        answer = await answer_of(llm, HELLO)
    assert (answer.text, answer.finish.usage) == ("Hi", Usage(0, 0))


async def test_a_refusal_is_said(service: Service) -> None:
    service.handler = answering(delta(refusal="I cannot help."), delta("stop"), DONE)
    async with connected(service.url) as llm:
        assert (await answer_of(llm, HELLO)).text == "I cannot help."


@pytest.mark.parametrize(
    ("sent", "told"), [("length", "length"), ("content_filter", "content_filter"), ("eos", "stop")]
)
async def test_the_reason_of_the_end_is_told(service: Service, sent: str, told: str) -> None:
    service.handler = answering(*said("Hi", finish_reason=sent))
    async with connected(service.url) as llm:
        assert (await answer_of(llm, HELLO)).finish.reason == told


async def test_a_server_that_does_not_stream_is_understood(service: Service) -> None:
    message = {"role": "assistant", "content": "Hello there"}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    service.handler = failing(200, {"model": "m-1", "choices": [choice], "usage": usage})
    async with connected(service.url) as llm:
        answer = await answer_of(llm, HELLO)
    assert (answer.text, answer.finish) == ("Hello there", Finish("stop", Usage(3, 2), "m", "openai"))


async def test_an_answer_that_is_complete_is_not_lost_with_the_connection(service: Service) -> None:
    async def cut(asked: Asked, reply: Reply) -> None:
        await reply.begin()
        await reply.send(delta(content="Hi") + delta("stop"))
        await reply.cut()

    service.handler = cut
    async with connected(service.url) as llm:
        answer = await answer_of(llm, HELLO)
    assert (answer.text, answer.finish.reason) == ("Hi", "stop")


async def test_a_connection_serves_one_turn_after_the_other(service: Service) -> None:
    async with connected(service.url) as llm:
        for _ in range(3):
            await answer_of(llm, HELLO)
    assert service.connections == 1


async def test_a_kept_connection_that_was_closed_meanwhile_is_replaced_by_a_new_one(
    service: Service,
) -> None:
    service.handler = HangsUp(answered=1)
    async with connected(service.url) as llm:
        texts = [(await answer_of(llm, HELLO)).text for _ in range(2)]
    assert texts == ["Hi", "Hi"]
    assert [asked.connection for asked in service.asked] == [0, 0, 1]


async def test_a_server_that_keeps_the_stream_open_after_the_end_is_not_waited_for(service: Service) -> None:
    async def linger(asked: Asked, reply: Reply) -> None:
        await reply.begin()
        await reply.send(b"".join(said("Hi")))
        await reply.until_left()

    service.handler = linger
    async with connected(service.url) as llm:
        with anyio.fail_after(2):
            assert (await answer_of(llm, HELLO)).text == "Hi"


class Stall:
    """Answers up to some point, then says nothing more and waits until the client has gone."""

    def __init__(self, after: str) -> None:
        self.after = after
        self.reached = anyio.Event()
        self.left = anyio.Event()

    async def __call__(self, asked: Asked, reply: Reply) -> None:
        if self.after != "before_the_head":
            await reply.begin()
        if self.after == "half_way":
            await reply.send(delta(content="Hi"))
        self.reached.set()
        await reply.until_left()
        self.left.set()


@pytest.mark.parametrize("after", ["before_the_head", "before_the_first_token", "half_way"])
async def test_a_cancelled_generation_closes_its_connection_at_once(service: Service, after: str) -> None:
    service.handler = stall = Stall(after)
    async with connected(service.url) as llm, anyio.create_task_group() as tasks:
        tasks.start_soon(answer_of, llm, HELLO)
        with anyio.fail_after(5):
            await stall.reached.wait()
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True), anyio.fail_after(0.1):
            await stall.left.wait()


async def test_a_generation_that_is_closed_half_way_closes_its_connection_at_once(service: Service) -> None:
    service.handler = stall = Stall("half_way")
    async with connected(service.url) as llm:
        async with aclosing(llm.generate(HELLO)) as generation:
            assert await anext(generation) == "Hi"
        with anyio.fail_after(0.1):
            await stall.left.wait()


async def test_a_generation_under_way_fails_when_the_client_is_closed(service: Service) -> None:
    async def stall(asked: Asked, reply: Reply) -> None:
        await reply.begin()
        await reply.send(delta(content="Hi"))
        await reply.until_left()

    service.handler = stall
    async with connected(service.url) as llm:
        generation = llm.generate(HELLO)
        assert await anext(generation) == "Hi"
    with pytest.raises(ProviderUnavailable):
        await anext(generation)
