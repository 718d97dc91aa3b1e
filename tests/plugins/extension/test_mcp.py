"""The extension that offers tools of MCP servers, against real servers that are processes of its own."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import anyio
import pytest

from jackfield import ToolFailed
from jackfield.contracts.tools import Tool
from jackfield.errors import PluginCannotStart
from jackfield.testing import ToolSuite
from jackfield_extension_mcp import process
from jackfield_extension_mcp.process import MAX_MESSAGE_BYTES
from jackfield_extension_mcp.source import McpSource
from tests.plugins.extension.mcp_trial import (
    CONTEXT,
    Notes,
    alive,
    call,
    opened,
    own_environment,
    tool,
    until,
)

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

SECRET = "secret-123"


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Notes:
    return Notes(tmp_path_factory.mktemp("mcp") / "notes")


@pytest.fixture(scope="module")
async def trial(notes: Notes) -> AsyncIterator[McpSource]:
    """The tools of one server, which is started anew when a test has ended it."""
    errors = notes.path.with_name("errors")
    server = {**notes.command(), "stderr_file": str(errors), "env": {"TRIAL_KEY": SECRET}, "cwd": "/"}
    async with opened(trial=server) as found:
        yield found


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give processes less time to end by themselves: these do not."""
    monkeypatch.setattr(process, "_LEAVE_S", 0.2)


class TestMcpTool(ToolSuite):
    """Every test of the suite."""

    arguments: ClassVar[Mapping[str, Any]] = {"text": "hello"}

    @pytest.fixture
    def tool(self, trial: McpSource) -> Tool:
        return tool(trial, "echo")


async def test_a_tool_is_offered_as_its_server_describes_it(trial: McpSource) -> None:
    spec = tool(trial, "echo").spec

    assert spec.description == "Gives the text back."
    assert spec.parameters["properties"]["text"]["type"] == "string"
    assert spec.parameters["required"] == ["text"]


async def test_a_name_that_models_do_not_take_is_changed_and_still_works(trial: McpSource) -> None:
    assert await call(trial, "say_many_words", times=2) == "hellohello"


async def test_a_failure_is_told_to_the_model_and_not_to_the_log(
    trial: McpSource, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(ToolFailed, match="executing tool fail"):
        await call(trial, "fail", text=SECRET)

    assert SECRET not in caplog.text


async def test_arguments_that_a_tool_does_not_take_are_a_failure(trial: McpSource) -> None:
    with pytest.raises(ToolFailed, match="times"):
        await call(trial, "say_many_words", times="often")


async def test_parts_that_are_no_text_are_named(trial: McpSource) -> None:
    assert await call(trial, "look") == "hello\n[image of type image/png, which cannot be shown]"


async def test_a_long_result_is_cut(trial: McpSource) -> None:
    result = await call(trial, "say_many_words", text="x", times=30_000)

    assert result == "x" * 20_000 + "\n[10000 more characters are left out]"


async def test_a_huge_result_is_a_failure_and_the_server_is_started_anew(
    trial: McpSource, notes: Notes, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ToolFailed, match="broke down"):
        await call(trial, "say_many_words", text="xx", times=MAX_MESSAGE_BYTES // 2)

    assert await call(trial, "echo") == "heard: hello"
    assert f'"trial" sent a message of more than {MAX_MESSAGE_BYTES} bytes, and is stopped' in caplog.text
    assert list(map(alive, notes.pids())) == [False] * (len(notes.pids()) - 1) + [True]


async def test_a_server_that_dies_in_the_middle_of_a_call_is_started_anew(
    trial: McpSource, notes: Notes, caplog: pytest.LogCaptureFixture
) -> None:
    before = trial.tools
    with pytest.raises(ToolFailed, match="broke down"):
        await call(trial, "die", text=SECRET)

    assert await call(trial, "echo") == "heard: hello"
    assert [each.spec for each in trial.tools] == [each.spec for each in before]
    assert '[extension.1] the MCP server "trial" was lost in the middle of a call' in caplog.text
    assert '[extension.1] the MCP server "trial" is lost; its tools fail until it is back' in caplog.text
    assert SECRET not in caplog.text
    assert len(notes.pids()) > 1


async def test_a_cancelled_call_is_cancelled_in_the_server(trial: McpSource, notes: Notes) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call, trial, "hang")
        await until(lambda: "hangs" in notes.lines())
        tasks.cancel_scope.cancel()

    await until(lambda: "was cancelled" in notes.lines())
    assert await call(trial, "echo") == "heard: hello"


async def test_calls_go_side_by_side(trial: McpSource) -> None:
    results: list[str] = []

    async def echo(number: int) -> None:
        results.append(await call(trial, "echo", text=str(number)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call, trial, "hang")
        async with anyio.create_task_group() as echoes:
            for number in range(20):
                echoes.start_soon(echo, number)
        tasks.cancel_scope.cancel()

    assert sorted(results) == sorted(f"heard: {number}" for number in range(20))


async def test_what_a_server_writes_to_standard_error_is_in_its_file_and_not_in_our_log(
    trial: McpSource, notes: Notes, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert await call(trial, "chatter", text=SECRET) == "done"

    assert SECRET not in caplog.text + "".join(capfd.readouterr())
    assert f"{SECRET}, which is an error" in notes.path.with_name("errors").read_text()


@pytest.mark.usefixtures("hasty")
async def test_lines_that_are_no_messages_are_told_of_without_what_they_say(
    caplog: pytest.LogCaptureFixture,
) -> None:
    talkative = ["-c", f"echo {SECRET}; echo '{{\"{SECRET}\": 1}}'; exec sleep 1000"]
    server = {"command": "sh", "args": talkative, "connect_s": 0.3, "required": False}
    with caplog.at_level(logging.DEBUG):
        async with opened(trial=server):
            pass

    complaint = '"trial" writes lines to its standard output that are no messages'
    assert [complaint in record.getMessage() for record in caplog.records].count(True) == 1
    assert SECRET not in caplog.text


async def test_a_server_gets_its_own_variables_and_none_of_ours(trial: McpSource) -> None:
    variables, _, folder = (await call(trial, "variables")).rpartition(" in ")

    assert "TRIAL_KEY" in variables.split()
    assert not own_environment() & set(variables.split())
    assert folder == "/"


@pytest.mark.usefixtures("hasty")
async def test_two_servers_with_the_same_tool_both_offer_it(tmp_path: Path) -> None:
    one, two = Notes(tmp_path / "one"), Notes(tmp_path / "two")
    first = {**one.command(), "tools": ["echo", "fail"]}
    async with opened(first=first, second={**two.command(), "tools": ["echo"]}) as found:
        assert [each.spec.name for each in found.tools] == ["first_echo", "fail", "second_echo"]
        assert await call(found, "second_echo", text="two") == "heard: two"

    assert "echo two" not in one.lines()
    assert "echo two" in two.lines()


@pytest.mark.usefixtures("hasty")
async def test_no_process_is_left_when_the_server_stops_in_the_middle_of_a_call(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "notes")
    async with anyio.create_task_group() as tasks, opened(trial=notes.command("--stubborn")) as found:
        another = int(await call(found, "start_another"))
        tasks.start_soon(_fails, found)
        await until(lambda: "hangs" in notes.lines())
        assert alive(another)
        assert all(map(alive, notes.pids()))

    assert not any(map(alive, [another, *notes.pids()]))


async def _fails(found: McpSource) -> None:
    with pytest.raises(ToolFailed):
        await call(found, "hang")


@pytest.mark.usefixtures("hasty")
async def test_no_process_is_left_when_the_start_is_cancelled(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    silent = {"command": "sh", "args": ["-c", f"echo $$ > {pid}; exec sleep 1000"]}
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_hold_open, silent)
        await until(lambda: pid.exists() and pid.read_text().strip())
        tasks.cancel_scope.cancel()

    assert not alive(int(pid.read_text()))


async def _hold_open(server: Mapping[str, Any]) -> None:
    async with opened(silent=server):
        await anyio.sleep_forever()


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("command", "fault"),
    [
        (["/no/such/program"], "No such file or directory: /no/such/program"),
        (["true"], "it ended before it had answered"),
        (["sleep", "1000"], "it has not listed its tools within 0.3 s"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
async def test_a_server_that_does_not_come_up_stops_the_start(command: list[str], fault: str) -> None:
    limit_s = 0.3 if command[0] == "sleep" else 20
    server = {"command": command[0], "args": command[1:], "connect_s": limit_s}
    with pytest.raises(PluginCannotStart) as failed:
        async with opened(clock=server, watch={**server, "required": False}):
            raise AssertionError

    assert str(failed.value) == (
        f'[extension.1.options.servers.clock] The MCP server "clock" cannot be reached: {fault}. '
        "Mend `command`, or set required = false to start without."
    )


async def test_a_server_that_is_not_required_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with opened(clock={"command": "/no/such/program", "required": False}) as found:
        assert not found.tools

    assert '"clock" cannot be reached: No such file or directory: /no/such/program' in caplog.text


async def test_a_tool_of_a_server_that_cannot_come_back_is_not_available(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "notes")
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\nexec {notes.command()["command"]} "$@"\n')
    program.chmod(0o700)
    async with opened(trial={**notes.command(), "command": str(program)}) as found:
        program.unlink()
        with pytest.raises(ToolFailed, match="broke down"):
            await call(found, "die")
        with pytest.raises(ToolFailed, match="not available"):
            await found.tools[0].call({"text": "hello"}, CONTEXT)
