"""The plugin keeps the promises of a tool, and says when there is nothing to list."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from jackfield import ToolFailed
from jackfield.contracts.auth import UserId
from jackfield.contracts.tools import Tool, ToolContext
from jackfield.testing import ToolSuite

import jackfield_extension_parts as plugin

CONTEXT = ToolContext(UserId("test", "somebody"), "conversation")


async def tool_among(*scenarios: str) -> Tool:
    """Make the tool of a server with these scenarios."""
    tool = plugin.PartsTool(plugin.PartsOptions(max_parts=2))
    await tool.run(SimpleNamespace(scenarios=SimpleNamespace(names=lambda: scenarios)))
    return tool


class TestParts(ToolSuite):
    """Every test of the suite, and two of its own."""

    capabilities = plugin.plugin_info().capabilities(plugin.PartsOptions())

    @pytest.fixture
    async def tool(self) -> Tool:
        return await tool_among("pirate")

    async def test_no_more_parts_are_listed_than_it_was_told(self) -> None:
        tool = await tool_among("pirate", "poet", "judge")
        assert await tool.call({}, CONTEXT) == "pirate, poet"

    async def test_no_parts_at_all_are_a_failure_in_its_own_words(self) -> None:
        with pytest.raises(ToolFailed, match="no parts"):
            await (await tool_among()).call({}, CONTEXT)
