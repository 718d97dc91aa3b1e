"""chat-app, 3.4 and 4.5: tool activity, from a page over a model that calls tools to servers of tools."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psutil
import pytest
from anyio.from_thread import start_blocking_portal
from websockets.sync.client import connect

from tests.contracts.chat_app import Page, page, stats
from tests.contracts.harness import ROOT, ServerFactory, Tree, TrialServer, until
from tests.plugins.extension.mcp_trial import Notes, alive
from tests.plugins.http_service import Asked, Reply, serving
from tests.plugins.llm.openai_chat import DONE, delta, event, part, said
from tests.redis_server import free_port
from tests.server_process import ServerProcess
from tests.stand_ins import STAND_INS

SECRET: Final = "secret-123"
USAGE: Final = {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}


async def model(asked: Asked, reply: Reply) -> None:
    """A model that does as it is told: `use NAME {arguments}`, then says what the tool said."""
    last = asked.json["messages"][-1]
    word, _, rest = last["content"].partition(" ")
    pieces = said("It says: ", last["content"][:100]) if last["role"] == "tool" else said("Hello.")
    if last["role"] == "user" and word == "use":
        name, _, arguments = rest.partition(" ")
        assert name in [tool["function"]["name"] for tool in asked.json["tools"]]
        call = part(0, arguments, id="call-1", type="function", name=name)
        pieces = [
            delta(role="assistant", content=None, tool_calls=[call]),
            delta("tool_calls"),
            event(choices=[], usage=USAGE),
            DONE,
        ]
    await reply.begin()
    for piece in pieces:
        await reply.send(piece)
    await reply.end()


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Notes:
    """What happens to the server of tools that is a process of the chat app."""
    return Notes(tmp_path_factory.mktemp("tools") / "notes")


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the other server of tools."""
    port = free_port()
    with Notes(tmp_path_factory.mktemp("far") / "notes").listening(port):
        yield f"http://127.0.0.1:{port}/mcp"


@pytest.fixture(scope="module")
def configuration(notes: Notes, far: str) -> Iterator[Tree]:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serving(model)) as openai:
        options = {"base_url": f"{openai.url}/v1", "model": "m", "api_key": "sk-test", "folder": None}
        near: dict[str, Any] = {**notes.command(), "tools": ["echo", "fail", "hang", "die", "say.many words"]}
        servers = {"near": near, "far": {"url": far, "tools": ["echo", "look"]}}
        yield {
            "llm": {"use": "openai", "options": options},
            "session": {"use": "memory", "options": None},
            "timeouts": {"tool_seconds": 3},
            "extension": [{"use": "mcp", "options": {"servers": servers}}],
            "transport": [{"use": "chat_app"}],
        }


@pytest.fixture(scope="module")
def server(start: ServerFactory, configuration: Tree) -> TrialServer:
    return start("tools", configuration)


def use(one: Page, tool: str, **arguments: object) -> tuple[str, Tree]:
    """Have a tool called; gives the answer, and what the figures say of the one call."""
    text = json.dumps({"text": "hi", **arguments})
    answer, status, _ = one.say(f"use {tool} {text}")
    (activity,) = status["tools"]
    assert isinstance(activity.pop("ms"), int)
    return answer["message"], activity


@pytest.mark.contract("CA-13", "CA-16")
@pytest.mark.parametrize("place", ["near", "far"])
def test_a_call_of_a_tool_on_a_server_is_told_and_counted(server: TrialServer, place: str) -> None:
    before = stats(server)["tool_calls_total"]
    with page(server) as one:
        told = use(one, f"{place}_echo")

    assert told == ("It says: heard: hi", {"name": f"{place}_echo", "status": "ok"})
    assert stats(server)["tool_calls_total"] == before + 1


@pytest.mark.contract("CA-13")
def test_a_part_that_is_no_text_is_named_to_the_model(server: TrialServer) -> None:
    with page(server) as one:
        message, activity = use(one, "look")

    assert message == "It says: hi\n[image of type image/png, which cannot be shown]"
    assert activity["status"] == "ok"


@pytest.mark.contract("CA-13")
@pytest.mark.parametrize(
    ("tool", "words"),
    [
        ("fail", "Error executing tool fail"),
        ("hang", "The tool did not answer in time."),
        ("die", "The tool broke down while it was at work; whether it did anything is not known."),
    ],
)
def test_a_tool_that_fails_hangs_or_dies_is_an_error_and_the_turn_goes_on(
    server: TrialServer, tool: str, words: str
) -> None:
    before = stats(server)
    with page(server) as one:
        assert use(one, tool) == (f"It says: {words}", {"name": tool, "status": "error"})
        assert any(use(one, "near_echo")[1]["status"] == "ok" for _ in range(10)), "it works again"

    assert stats(server)["errors_total"] == before["errors_total"]


@pytest.mark.contract("CA-13")
def test_a_huge_result_is_cut_before_the_model_sees_it(server: TrialServer) -> None:
    with page(server) as one:
        message, activity = use(one, "say_many_words", times=50_000)

    assert message == f"It says: {'hi' * 50}"
    assert activity["status"] == "ok"


@pytest.mark.contract("CA-13", "CA-19")
def test_a_page_that_leaves_cancels_the_call(server: TrialServer, notes: Notes) -> None:
    before = notes.lines()
    with page(server) as one:
        one.send(message='use hang {"text": ""}')
        until(lambda: "hangs" in notes.lines()[len(before) :], "the tool was called")

    until(lambda: "was cancelled" in notes.lines()[len(before) :], "the server was told")


@pytest.mark.contract("CA-13")
def test_neither_arguments_nor_results_are_in_the_log(server: TrialServer) -> None:
    with page(server) as one:
        for tool in ("near_echo", "fail", "look"):
            use(one, tool, text=SECRET)

    log = server.output()
    assert "tool fail says that it failed" in log
    assert SECRET not in log
    assert "Traceback" not in log


@pytest.mark.contract("CA-13", "CA-30")
def test_the_example_counts_words_with_a_tool_and_leaves_no_process(tmp_path: Path) -> None:
    arguments = [str(ROOT / "examples" / "mcp.toml"), "--port", "0"]
    with (
        ServerProcess(tmp_path / "server", arguments, os.environ | STAND_INS) as server,
        connect(f"{server.url.replace('http', 'ws')}/ws/chat") as socket,
    ):
        answer, status, _ = Page(socket).say("How many words are these?")
        (words,) = psutil.Process(server.pid).children()

    assert answer["message"] == "5 words"
    assert [(tool["name"], tool["status"]) for tool in status["tools"]] == [("count_words", "ok")]
    assert not alive(words.pid)
