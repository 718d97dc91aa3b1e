"""The extension that offers tools of MCP servers, over streamable HTTP on a socket of this machine."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import anyio
import pytest

from jackfield import ToolFailed
from jackfield.errors import PluginCannotStart
from jackfield_extension_mcp.process import MAX_MESSAGE_BYTES
from jackfield_extension_mcp.source import McpSource
from tests.plugins.extension.mcp_trial import Notes, answers, call, opened, until
from tests.plugins.http_service import Asked, Reply, Service, serving
from tests.redis_server import free_port

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

KEY: Final = "Bearer secret-123"
METHOD_NOT_FOUND: Final = -32601


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}/mcp"


async def test_tools_come_and_work_again_with_a_server_that_comes_and_goes(
    tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    notes, port = Notes(tmp_path_factory.mktemp("mcp") / "notes"), free_port()
    async with opened(trial={"url": url(port), "required": False}) as found:
        assert not found.tools
        with notes.listening(port):
            await until(lambda: found.tools)
            assert await call(found, "echo") == "heard: hello"
        assert not answers(port)
        with pytest.raises(ToolFailed):
            await call(found, "echo")
        with notes.listening(port):
            assert await call(found, "echo") == "heard: hello"
            with pytest.raises(ToolFailed, match="broke down"):
                await call(found, "die")

    assert '"trial" cannot be reached: nobody answers at its address' in caplog.text
    assert len(notes.pids()) == 2


class Handshaking:
    """A server of the protocol's older kind, with sessions: it knows the last one that was begun."""

    def __init__(self) -> None:
        self.session = 0
        self.result: Mapping[str, Any] | None = {"content": [{"type": "text", "text": "noon"}]}
        """Of every call; None stands for words that are no message."""
        self.breaks_off = False
        self.hangs = anyio.Event()
        """Set: neither calls nor notifications are answered."""
        self.restarted = False

    async def __call__(self, asked: Asked, reply: Reply) -> None:
        if asked.method != "POST":
            await reply.whole(405, {})
            return
        message = asked.json
        if message["method"] == "initialize":
            self.session, self.restarted = self.session + 1, False
            result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}
            result["serverInfo"] = {"name": "trial", "version": "1"}
            await self.answer(reply, message, result, mcp_session_id=f"session-{self.session}")
        elif message["method"] == "server/discover":
            error = {"code": METHOD_NOT_FOUND, "message": "Method not found"}
            await reply.whole(200, {"jsonrpc": "2.0", "id": message["id"], "error": error})
        elif self.restarted or asked.headers.get("mcp-session-id") != f"session-{self.session}":
            await reply.whole(404, {})
        elif self.hangs.is_set() and message["method"] != "initialize":
            await reply.until_left()
        elif "id" not in message:
            await reply.whole(202, b"")
        elif message["method"] == "tools/list":
            tool = {"name": "clock", "description": "Tells the time.", "inputSchema": {"type": "object"}}
            await self.answer(reply, message, {"tools": [tool]})
        elif self.breaks_off:
            await reply.begin()
            await reply.end()
        elif self.result is None:
            await reply.whole(200, b"secret-123")
        else:
            await self.answer(reply, message, self.result)

    async def answer(self, reply: Reply, message: Mapping[str, Any], result: object, **headers: str) -> None:
        await reply.whole(200, {"jsonrpc": "2.0", "id": message["id"], "result": result}, **headers)


@pytest.fixture
async def older() -> AsyncIterator[tuple[Handshaking, Service, McpSource]]:
    server = Handshaking()
    async with serving(server) as service:
        trial = {"url": f"{service.url}/mcp", "headers": {"Authorization": KEY}}
        async with opened(trial=trial) as found:
            yield server, service, found


async def test_a_server_that_forgot_the_session_is_greeted_again_within_the_call(
    older: tuple[Handshaking, Service, McpSource],
) -> None:
    server, _, found = older
    server.restarted = True

    assert await call(found, "clock") == "noon"
    assert server.session == 2


async def test_every_request_has_the_headers_of_the_options_and_the_log_has_not(
    older: tuple[Handshaking, Service, McpSource], caplog: pytest.LogCaptureFixture
) -> None:
    _, service, found = older
    await call(found, "clock")

    assert {asked.headers.get("authorization") for asked in service.asked} == {KEY}
    assert "secret-123" not in caplog.text


async def test_an_answer_that_is_too_long_is_a_failure(
    older: tuple[Handshaking, Service, McpSource],
) -> None:
    server, _, found = older
    server.result = {"content": [{"type": "text", "text": "x" * (MAX_MESSAGE_BYTES + 1)}]}
    with pytest.raises(ToolFailed):
        await call(found, "clock")

    server.result = {"content": [], "structuredContent": {"hour": 12}}
    assert await call(found, "clock") == '{"hour": 12}'


async def test_whoever_cancels_a_call_does_not_wait_for_a_server_that_hangs(
    older: tuple[Handshaking, Service, McpSource],
) -> None:
    server, _, found = older
    server.hangs.set()
    began_s = anyio.current_time()
    for _ in range(3):
        with anyio.move_on_after(0.1):
            await call(found, "clock")

    assert anyio.current_time() - began_s < 4


@pytest.mark.parametrize("result", [{"content": "secret-123"}, None], ids=["no result", "no message"])
async def test_an_answer_that_makes_no_sense_is_a_failure_that_the_log_does_not_quote(
    older: tuple[Handshaking, Service, McpSource],
    caplog: pytest.LogCaptureFixture,
    result: Mapping[str, Any] | None,
) -> None:
    server, _, found = older
    server.result = result
    with caplog.at_level(logging.DEBUG, "jackfield"), pytest.raises(ToolFailed, match="be understood"):
        await call(found, "clock")

    assert "gave an answer that cannot be understood" in caplog.text
    assert "secret-123" not in caplog.text


async def test_after_an_answer_that_breaks_off_the_server_is_greeted_again(
    older: tuple[Handshaking, Service, McpSource],
) -> None:
    server, _, found = older
    server.breaks_off = True
    with pytest.raises(ToolFailed, match="broke down"):
        await call(found, "clock")

    server.breaks_off = False
    assert await call(found, "clock") == "noon"
    assert server.session == 2


async def test_a_tool_that_the_list_names_and_no_server_has_is_told_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with (
        serving(Handshaking()) as service,
        opened(trial={"url": f"{service.url}/mcp", "tools": ["clock", "cuckoo"]}) as found,
    ):
        assert [each.spec.name for each in found.tools] == ["clock"]

    assert '"trial" has no tool cuckoo, which its option `tools` names' in caplog.text


async def test_a_server_that_refuses_stops_the_start_with_its_status() -> None:
    async def refuse(asked: Asked, reply: Reply) -> None:
        await reply.whole(401, {"detail": KEY})

    async with serving(refuse) as service:
        trial = {"url": f"{service.url}/mcp", "headers": {"Authorization": KEY}}
        with pytest.raises(PluginCannotStart, match="it answers with status 401") as failed:
            async with opened(trial=trial):
                raise AssertionError

    assert "secret-123" not in str(failed.value)


async def test_a_server_that_is_not_there_stops_the_start() -> None:
    with pytest.raises(PluginCannotStart, match="nobody answers at its address"):
        async with opened(trial={"url": url(free_port())}):
            raise AssertionError
