"""Showing models the beginnings of their prompts before anybody asks: the first answer is then quick too."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import aclosing

from jackfield.assembly import Built, Providers
from jackfield.contracts.llm import LLM, GenerationRequest, Message, ToolSpec
from jackfield.contracts.tools import Tool, ToolSource
from jackfield.dialogue.scenarios import ScenarioTable
from jackfield.dialogue.tools import by_name
from jackfield.errors import ProviderError

logger = logging.getLogger(__name__)


class Warming:
    """Has every model that keeps prefixes read the openings of the parts that it will play."""

    def __init__(
        self, models: Providers[LLM], tools: Sequence[Built[Tool | ToolSource]], scenarios: ScenarioTable
    ) -> None:
        self._models = models
        self._tools = tuple(built.object for built in tools)
        self._scenarios = scenarios

    async def run(self) -> None:
        """Show all openings, one after the other; a failure is logged and costs no more than its time."""
        tools = tuple(tool.spec for tool in by_name(self._tools).values())  # known now that all is open
        for llm, opening in self._openings():
            try:
                await _show(llm.object, opening, tools)
            except ProviderError as error:
                logger.warning("[%s] %s cannot be warmed: %s", llm.section, llm.plugin, type(error).__name__)

    def _openings(self) -> Iterator[tuple[Built[LLM], tuple[Message, ...]]]:
        """Each model with each of its openings once, as many as it has places for, those of a chain too."""
        seen: dict[int, set[tuple[Message, ...]]] = {}
        for part in self._scenarios.parts():
            whole = self._models.get(part.llm)
            if whole is None or part.names_user:
                continue
            for llm in whole.members or (whole,):
                known = seen.setdefault(id(llm.object), set())
                room = (llm.capabilities.max_concurrency or 1) if llm.capabilities.keeps_prefixes else 0
                if part.opening not in known and len(known) < room:
                    known.add(part.opening)
                    yield llm, part.opening


async def _show(llm: LLM, opening: tuple[Message, ...], tools: tuple[ToolSpec, ...]) -> None:
    asked = (*opening, Message("user", "Hello."))
    request = GenerationRequest(asked, tools=tools, temperature=0.0, max_tokens=1, warming=True)
    async with aclosing(llm.generate(request)) as outputs:
        async for _ in outputs:
            pass
