"""Two tools: `echo` gives its text back, `broken` fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jackfield import Options, PluginInfo, Site, hookimpl
from jackfield.contracts.llm import ToolSpec
from jackfield.contracts.tools import Tool, ToolContext


class EchoTool:
    """Gives its text back."""

    spec = ToolSpec("echo", "Gives the text back.")

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        return str(arguments["text"])


class BrokenTool:
    """Fails."""

    spec = ToolSpec("broken", "Fails.")

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        raise RuntimeError("secret-123")


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(kind="extension", name="trial_tools", summary="Two tools.")


@hookimpl
def make_tools(options: Options, site: Site) -> Sequence[Tool]:
    return [EchoTool(), BrokenTool()]
