"""One MCP server: connected, kept so, and asked to call its tools."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup
from mcp import Client, MCPError, types
from mcp.client import Transport

from jackfield import Site, ToolFailed
from jackfield_extension_mcp.faults import fault_of
from jackfield_extension_mcp.http import http_streams
from jackfield_extension_mcp.options import McpServer
from jackfield_extension_mcp.process import process_streams

_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0
_PAGES: Final = 100
"""Of a list of tools; more of them are a server that never ends its list."""
_AWAY: Final = "The tool is not available at the moment."
_GONE: Final = "The tool broke down while it was at work; whether it did anything is not known."
_STRANGE: Final = "The tool gave an answer that cannot be understood."


class Connection:
    """Keeps a server connected; calls may come from any task, several at once.

    `listed` is called whenever `tools` has changed. Calls are tasks of `tasks`, which outlives connections.
    """

    def __init__(
        self, name: str, server: McpServer, site: Site, tasks: TaskGroup, listed: Callable[[], None]
    ) -> None:
        self.name = name
        self.tools: Sequence[types.Tool] = ()
        """What the server offered when it was last connected, and may be called for."""
        self.fault = ""
        """Why there is no connection; empty while there is one."""
        self.tried = anyio.Event()
        """The first attempt is over, well or not."""
        self.over = anyio.Event()
        """`keep` has come to its end."""
        self._server = server
        self._site = site
        self._tasks = tasks
        self._listed = listed
        self._client: Client | None = None
        self._status = 0
        self._complaints: set[str] = set()
        self._dropped = False
        self._attempt = anyio.Event()
        self._wanted = anyio.Event()
        self._end = anyio.Event()
        self._ending = False
        self._scope = anyio.CancelScope()

    async def keep(self) -> None:
        """Connect, and connect again whenever the connection is lost, until the end."""
        pause_s = _FIRST_PAUSE_S
        try:
            with self._scope:
                while True:
                    began_s = anyio.current_time()
                    stood = await self._hold()
                    if stood and anyio.current_time() - began_s > _LONGEST_PAUSE_S:
                        pause_s = _FIRST_PAUSE_S
                    if self._ending:
                        return
                    self._tell_of_loss(stood)
                    with anyio.move_on_after(pause_s):
                        await self._wanted.wait()
                    self._wanted = anyio.Event()
                    pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        finally:
            self.over.set()

    def end(self) -> None:
        """Let the connection be closed, or the attempt at one given up."""
        self._ending = True
        if self._client is None:
            self._scope.cancel()
        else:
            self._end.set()

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> types.CallToolResult:
        """Call a tool by the name that the server gives it. Cancelled, the server is told so.

        The call has a task of its own: the SDK may hold back who cancels until the server has been told.

        :raises ToolFailed: when there is no answer from the server.
        """
        results: list[types.CallToolResult | ToolFailed] = []
        done, scope = anyio.Event(), anyio.CancelScope()

        async def work() -> None:
            try:
                with scope:
                    results.append(await self._called(tool, arguments))
            except ToolFailed as error:
                results.append(error)
            finally:
                done.set()

        self._tasks.start_soon(work, name=f"{self._site.section}.{self.name}.{tool}")
        try:
            await done.wait()
        finally:
            scope.cancel()
        result = results[0] if results else ToolFailed(_GONE)
        if isinstance(result, ToolFailed):
            raise result
        return result

    async def _called(self, tool: str, arguments: Mapping[str, Any]) -> types.CallToolResult:
        for again in (True, False):
            client = await self._connected()
            try:
                return await client.call_tool(tool, dict(arguments))
            except MCPError as error:
                if error.code == types.CONNECTION_CLOSED:
                    self._lose(client)
                    self._warn("was lost in the middle of a call")
                    raise ToolFailed(_GONE) from None
                if again and self._is_forgotten(error):
                    self._lose(client)
                    continue
                if error.code == types.PARSE_ERROR:
                    raise self._strange(error) from None
                raise ToolFailed(error.message) from None
            except Exception as error:  # noqa: BLE001  # the SDK's; a traceback would quote the answer
                raise self._strange(error) from None
        raise AssertionError("the second attempt raises or returns")

    def _strange(self, error: Exception) -> ToolFailed:
        self._warn(f"gave an answer that cannot be understood ({type(error).__name__})")
        return ToolFailed(_STRANGE)

    async def _connected(self) -> Client:
        if self._client is None:
            self._wanted.set()
            await self._attempt.wait()
        if self._client is None:
            raise ToolFailed(_AWAY)
        return self._client

    async def _hold(self) -> bool:
        """Stay connected as long as it goes; gives whether there was a connection at all."""
        self._status, self._dropped, stood, client = 0, False, False, None
        limit_s = self._server.connect_s
        self.fault = f"it has not listed its tools within {limit_s:g} s"
        deadline_s = anyio.current_time() + limit_s
        try:
            with anyio.CancelScope(deadline=deadline_s) as connecting:
                async with Client(self._transport(), cache=None) as client:
                    tools = await _tools_of(client)
                    connecting.deadline = math.inf
                    stood = True
                    self._stand(client, tools)
                    await self._end.wait()
        except Exception as error:  # noqa: BLE001  # of the SDK and all that it uses; told in other words
            self.fault = fault_of(error, self._status)
        finally:
            self._lose(client)
            if not stood:  # else those who wait already wait for the next attempt
                self._attempt, attempt = anyio.Event(), self._attempt
                attempt.set()
                self.tried.set()
        return stood

    def _transport(self) -> Transport:
        if self._server.command is None:
            return http_streams(self._server, refused=self._refused)
        return process_streams(self._server, lost=self._drop, complain=self._complain)

    def _stand(self, client: Client, tools: Sequence[types.Tool]) -> None:
        self._client, self.fault, self._status = client, "", 0
        self._end = anyio.Event()
        self.tools = self._allowed(tools)
        self._site.logger.info(
            '[%s] the MCP server "%s" is connected, tools offered: %d',
            self._site.section,
            self.name,
            len(self.tools),
        )
        self._listed()
        self._attempt.set()
        self.tried.set()
        if self._dropped:  # while it was about to stand
            self._lose(client)

    def _drop(self) -> None:
        self._dropped = True
        self._lose(self._client)

    def _lose(self, client: Client | None) -> None:
        """The connection is of no use any longer, if it is still that of this client."""
        if client is not None and self._client is client:
            self._client = None
            self._attempt = anyio.Event()
            self._end.set()

    def _allowed(self, tools: Sequence[types.Tool]) -> list[types.Tool]:
        if self._server.tools is None:
            return list(tools)
        missing = sorted(set(self._server.tools) - {tool.name for tool in tools})
        if missing:
            self._warn(f"has no tool {', '.join(missing)}, which its option `tools` names")
        return [tool for tool in tools if tool.name in self._server.tools]

    def _is_forgotten(self, error: MCPError) -> bool:
        """Whether a server that was started anew does not know the session; it has then done nothing."""
        return self._status == 404 and error.code == types.INVALID_REQUEST

    def _refused(self, status: int) -> None:
        self._status = status

    def _complain(self, what: str) -> None:
        if what not in self._complaints:
            self._complaints.add(what)
            self._warn(what)

    def _tell_of_loss(self, stood: bool) -> None:
        if stood:
            self._warn(f"is lost{self.fault and ': '}{self.fault}; its tools fail until it is back")
        else:
            self._warn(f"cannot be reached: {self.fault}")

    def _warn(self, what: str) -> None:
        self._site.logger.warning('[%s] the MCP server "%s" %s', self._site.section, self.name, what)


async def _tools_of(client: Client) -> list[types.Tool]:
    tools: list[types.Tool] = []
    cursor: str | None = None
    for _ in range(_PAGES):
        page = await client.list_tools(cursor=cursor)
        tools += page.tools
        cursor = page.next_cursor
        if cursor is None:
            break
    return tools
