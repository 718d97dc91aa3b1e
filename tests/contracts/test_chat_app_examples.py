"""chat-app, section 9: the commands and frames of docs/chat-app.md as they stand there, and the example."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from typing import Final

import pytest

from jackfield_transport_chat_app import ChatAppOptions
from tests.contracts.chat_app import Page, generate, page, stats
from tests.contracts.harness import ROOT, ServerFactory, Tree, TrialServer

PAGE: Final = (ROOT / "docs" / "chat-app.md").read_text()
COMMANDS: Final = dict(re.findall(r"<!-- example: (\w+) -->\n```bash\n(.*?)```", PAGE, re.DOTALL))
ANSWERS: Final = dict(
    re.findall(r"<!-- example: (\w+) -->\n```bash\n.*?```\n\n```json\n(.*?)```", PAGE, re.DOTALL)
)
FRAMES: Final = re.findall(r"<!-- frames: talk -->\n```text\n(.*?)```", PAGE, re.DOTALL)[0].splitlines()
EXAMPLE: Final = tomllib.loads((ROOT / "examples" / "chat-app.toml").read_text())

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="the examples are curl commands")


@pytest.fixture(scope="module")
def server(start: ServerFactory) -> TrialServer:
    """The example, with a model that answers at once."""
    session = {**EXAMPLE["session"], "options": {**EXAMPLE["session"]["options"], "folder": None}}
    parts: Tree = {"llm": {"use": "echo", "options": None}, "session": session}
    assert EXAMPLE["transport"] == [{"use": "chat_app"}]
    return start("example", {**parts, "extension": None, "transport": EXAMPLE["transport"]})


def run(name: str, server: TrialServer, chat_id: str = "") -> Tree:
    """Run a documented command against a server, and give what it prints."""
    command = COMMANDS[name].replace("http://localhost:8000", server.url)
    command = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", chat_id, command)
    shell = ["bash", "-ec", command]
    said = subprocess.run(shell, check=True, capture_output=True, text=True, timeout=30).stdout
    answer: Tree = json.loads(said)
    return answer


@needs_curl
@pytest.mark.contract("CA-08", "CA-06", "CA-09")
def test_the_commands_answer_as_documented(server: TrialServer) -> None:
    created = run("create", server)
    listed = run("list", server)
    generated = run("generate", server, created["id"])

    assert created["title"] == "Trip"
    assert listed["chats"][0]["id"] == generated["chat_id"] == created["id"]
    assert generated["message"] == "Hello"
    for name, answer in (("create", created), ("list", listed), ("generate", generated)):
        assert set(answer) == set(json.loads(ANSWERS[name])), name
    assert set(listed["chats"][0]) == set(json.loads(ANSWERS["list"])["chats"][0])


@needs_curl
@pytest.mark.contract("CA-10")
def test_the_command_for_figures_answers_as_documented(server: TrialServer) -> None:
    found, documented = run("stats", server), json.loads(ANSWERS["stats"])

    assert set(found) == set(documented)
    for name in ("tokens", "latency_ms", "tokens_per_second"):
        assert set(found[name]) == set(documented[name])


@pytest.mark.contract("CA-02", "CA-04", "CA-05")
def test_the_frames_go_as_documented(server: TrialServer) -> None:
    with page(server) as one:
        for line in FRAMES:
            frame = json.loads(line[1:])
            if line.startswith("→"):
                one.send(**frame)
                continue
            event = awaited(one, frame["event"])
            assert set(event) == set(frame)
            assert event.get("id") == frame.get("id")
            assert event.get("append") == frame.get("append")
            for shown, told in zip(frame.get("messages", ()), event.get("messages", ()), strict=False):
                assert set(shown) == set(told)
        assert one.quiet()


def awaited(one: Page, name: str) -> Tree:
    """The next event of a name; only pieces of an answer may be more than the page shows."""
    event = one.receive()
    while event["event"] != name:
        assert event["event"] == "ai_response_delta"
        event = one.receive()
    return event


@pytest.mark.contract("CA-14", "CA-30")
def test_the_example_listens_on_port_8000_and_keeps_chats_in_a_file(server: TrialServer) -> None:
    assert EXAMPLE["server"]["port"] == "${PORT:-8000}"
    assert EXAMPLE["server"]["cors_origins"] == ["http://localhost:3000"]
    variables = re.findall(r"\$\{(\w+)", (ROOT / "examples" / "chat-app.toml").read_text())
    assert variables == ["PORT"]
    generate(server, "Hello")

    assert (server.folder / "chat-app.db").stat().st_size > 0
    assert stats(server)["tokens_used"] > 0


@pytest.mark.contract("CA-30")
def test_the_page_names_every_option_with_its_default() -> None:
    for name, field in ChatAppOptions.model_fields.items():
        default = str(field.default).lower()
        assert re.search(rf"^# options\.{name} = {default} ", PAGE, re.MULTILINE), name
        assert field.description


@pytest.mark.contract("CA-17")
def test_the_page_says_where_a_queue_would_attach_and_nothing_needs_one() -> None:
    section = PAGE.split("## A queue of tasks")[1]

    assert "plugin-author.md" in section
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "celery" not in str(project).lower()


@pytest.mark.contract("CA-31")
def test_every_event_of_the_page_is_in_its_example() -> None:
    socket = PAGE.split("## The WebSocket")[1].split("| `code` | When |")[0]
    events = set(re.findall(r"^\| `(\w+)`", socket, re.MULTILINE))
    shown = {json.loads(line[1:]).get("event", "user_message") for line in FRAMES}

    assert {"user_message", "ai_response", "backend_status", "chat_history", "error"} <= events
    assert events - shown == set()
