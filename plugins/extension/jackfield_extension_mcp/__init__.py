"""MCP: offers the tools of servers that speak the Model Context Protocol to the language model.

It talks to each server through the protocol's official SDK: over the standard input and output of a process
that it starts, or over streamable HTTP. Tools are listed when a connection stands; resources and prompts of a
server are not used, and a server that wants something of the user or of the model is told that nobody can.
A process gets `PATH`, `HOME` and few other variables of Jackfield's environment, and what its `env` adds.
"""

from __future__ import annotations

from collections.abc import Sequence

from jackfield import Capabilities, PluginInfo, Site, hookimpl
from jackfield.contracts.tools import Tool, ToolSource
from jackfield.services.options import is_on_this_machine
from jackfield_extension_mcp.options import McpOptions as McpOptions, McpServer as McpServer


def _capabilities(options: McpOptions) -> Capabilities:
    urls = [server.url for server in options.servers.values() if server.url]
    return Capabilities(network=not all(map(is_on_this_machine, urls)))


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="extension",
        name="mcp",
        summary="Offers the tools of MCP servers to the language model.",
        options=McpOptions,
        extra="jackfield[mcp]",
        capabilities=_capabilities,
    )


@hookimpl
def make_tools(options: McpOptions, site: Site) -> Sequence[Tool | ToolSource]:
    from jackfield_extension_mcp.source import McpSource

    return [McpSource(options, site)]
