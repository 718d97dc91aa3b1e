"""Parts: lets the model say which parts, that is scenarios, it can play."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jackfield import Options, PluginInfo, Site, hookimpl
from jackfield.contracts.llm import ToolSpec
from jackfield.contracts.panel import Panel
from jackfield.contracts.tools import Tool, ToolContext


class PartsTool:
    """Lists the scenarios of the configuration file."""

    spec = ToolSpec("list_parts", "Lists the parts that you can play, by name.")

    async def run(self, panel: Panel) -> None:
        """Keep the panel: the server calls this before the first request."""
        self._panel = panel

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        return ", ".join(self._panel.scenarios.names()) or "There are no parts."


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo("extension", "parts", "Lets the model say which parts it can play.")


@hookimpl
def make_tools(options: Options, site: Site) -> list[Tool]:
    return [PartsTool()]
