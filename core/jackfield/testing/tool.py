"""The conformance suite of tools."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from jackfield.contracts.auth import UserId
from jackfield.contracts.tools import Tool, ToolContext
from jackfield.testing.cancellation import Ready, assert_gives_control_back
from jackfield.testing.suite import Suite

_CONTEXT: Final = ToolContext(UserId("test", "somebody"), "conversation")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class ToolSuite(Suite):
    """Subclass it, set `arguments`, and define the fixture `tool`."""

    arguments: ClassVar[Mapping[str, Any]] = {}
    """Arguments that it accepts."""

    def test_its_name_is_one_that_every_provider_takes(self, tool: Tool) -> None:
        assert _NAME.fullmatch(tool.spec.name)

    def test_it_is_described(self, tool: Tool) -> None:
        assert tool.spec.description.strip()

    def test_its_parameters_are_a_json_schema_of_an_object(self, tool: Tool) -> None:
        schema = json.loads(json.dumps(dict(tool.spec.parameters)))
        assert schema["type"] == "object"
        assert isinstance(schema.get("properties", {}), dict)

    async def test_it_answers_in_words(self, tool: Tool) -> None:
        assert isinstance(await tool.call(self.arguments, _CONTEXT), str)

    async def test_cancelled_the_caller_has_control_at_once(self, tool: Tool) -> None:
        async def call(ready: Ready) -> None:
            ready()
            await tool.call(self.arguments, _CONTEXT)

        await assert_gives_control_back(call)
