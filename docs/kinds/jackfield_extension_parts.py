"""Parts: lets the model say which parts, that is scenarios, it can play."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jackfield import Options, PluginInfo, Site, ToolFailed, hookimpl
from jackfield.contracts.llm import ToolSpec
from jackfield.contracts.panel import Panel
from jackfield.contracts.tools import Tool, ToolContext
from pydantic import Field


class PartsOptions(Options):
    """What an operator may set under `[extension.options]`."""

    max_parts: int = Field(default=20, gt=0, description="Most parts that are listed.")


class PartsTool:
    """Lists the scenarios of the configuration file."""

    spec = ToolSpec("list_parts", "Lists the parts that you can play, by name.")

    def __init__(self, options: PartsOptions) -> None:
        self._max_parts = options.max_parts

    async def run(self, panel: Panel) -> None:
        """Keep the panel: the server calls this before the first request."""
        self._panel = panel

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        names = self._panel.scenarios.names()[: self._max_parts]
        if not names:
            raise ToolFailed("There are no parts to play.")
        return ", ".join(names)


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="extension",
        name="parts",
        summary="Lets the model say which parts it can play.",
        options=PartsOptions,
    )


@hookimpl
def make_tools(options: PartsOptions, site: Site) -> list[Tool]:
    return [PartsTool(options)]
