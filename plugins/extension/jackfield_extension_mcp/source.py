"""The tools of all servers, under names that are unique."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import anyio
from mcp import types

from jackfield import Site, ToolFailed
from jackfield.contracts.llm import ToolSpec
from jackfield.contracts.tools import Tool, ToolContext
from jackfield.errors import PluginCannotStart, Problem
from jackfield_extension_mcp.connection import Connection
from jackfield_extension_mcp.names import unique_names
from jackfield_extension_mcp.options import McpOptions
from jackfield_extension_mcp.results import shortened, text_of

_CLOSE_S: Final = 5.0
_QUOTING_LOGGERS: Final = ("mcp", "client")
"""Of the SDK: they log messages that they cannot read, with what stands in them."""


class McpSource:
    """Tools of MCP servers. An async context manager: inside it the servers are connected."""

    def __init__(self, options: McpOptions, site: Site) -> None:
        self._options = options
        self._site = site
        self._connections: Sequence[Connection] = ()
        self._tools: Sequence[McpTool] = ()
        self._opening: AbstractAsyncContextManager[None] | None = None

    @property
    def tools(self) -> Sequence[Tool]:
        return self._tools

    async def __aenter__(self) -> Self:
        for name in _QUOTING_LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._opening = self._opened()
        await self._opening.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        assert self._opening is not None
        await self._opening.__aexit__(exc_type, exc, tb)

    @asynccontextmanager
    async def _opened(self) -> AsyncGenerator[None]:
        problems: list[Problem] = []
        servers = self._options.servers.items()
        async with anyio.create_task_group() as tasks:
            connections = [
                Connection(name, server, self._site, tasks, self._listed) for name, server in servers
            ]
            self._connections = connections
            for connection in connections:
                tasks.start_soon(connection.keep, name=f"{self._site.section}.{connection.name}")
            for connection in connections:
                await connection.tried.wait()
            problems = list(filter(None, map(self._problem, connections)))
            try:
                if not problems:
                    yield
            finally:
                with anyio.move_on_after(_CLOSE_S, shield=True):
                    await _closed(connections)
                tasks.cancel_scope.cancel()
        if problems:  # raised here: a task group would wrap it
            raise PluginCannotStart(*problems)

    def _problem(self, connection: Connection) -> Problem | None:
        server = self._options.servers[connection.name]
        if not (connection.fault and server.required):
            return None
        section = f"{self._site.section}.options.servers.{connection.name}"
        message = f'The MCP server "{connection.name}" cannot be reached: {connection.fault}.'
        fix = (
            f"Mend `{'command' if server.url is None else 'url'}`, or set required = false to start without."
        )
        return Problem(section, message, fix)

    def _listed(self) -> None:
        """Name the tools of all servers anew, in the order of the file."""
        found = [(connection, tool) for connection in self._connections for tool in connection.tools]
        names = unique_names([(connection.name, tool.name) for connection, tool in found])
        max_chars = self._options.max_result_chars
        self._tools = [
            McpTool(_spec(name, tool), connection, tool.name, max_chars)
            for name, (connection, tool) in zip(names, found, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class McpTool:
    """One tool of one server."""

    spec: ToolSpec
    connection: Connection
    name: str
    """What the server calls it."""
    max_chars: int

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        try:
            result = await self.connection.call(self.name, arguments)
        except ToolFailed as error:
            raise ToolFailed(shortened(str(error), self.max_chars)) from None
        text = text_of(result, self.max_chars)
        if result.is_error:
            raise ToolFailed(text)
        return text


async def _closed(connections: Sequence[Connection]) -> None:
    for connection in connections:
        connection.end()
    for connection in connections:
        await connection.over.wait()


def _spec(name: str, tool: types.Tool) -> ToolSpec:
    description = tool.description or tool.title or tool.name
    return ToolSpec(name, description, {"properties": {}, **tool.input_schema, "type": "object"})
