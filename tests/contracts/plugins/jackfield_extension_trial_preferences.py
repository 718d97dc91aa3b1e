"""Preferences that users set by writing them: `prefer {"colour": "green"}`."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

from jackfield import Options, PluginInfo, Site, hookimpl
from jackfield.contracts.extension import Answer
from jackfield.contracts.llm import Finish
from jackfield.contracts.panel import Panel
from jackfield.contracts.turn import TurnOutput, TurnRequest

COMMAND = "prefer "


class TrialPreferences:
    """Takes messages that begin with the command for itself."""

    def __init__(self) -> None:
        self._panel: Panel | None = None

    async def run(self, panel: Panel) -> None:
        self._panel = panel

    async def around_turn(self, request: TurnRequest, answer: Answer) -> AsyncGenerator[TurnOutput, None]:
        if not request.text.startswith(COMMAND):
            async with aclosing(answer(request)) as outputs:
                async for output in outputs:
                    yield output
            return
        assert self._panel is not None  # given before the first request
        wanted = json.loads(request.text.removeprefix(COMMAND))
        await self._panel.sessions.set_preferences(request.conversation, wanted)
        yield "Noted."
        yield Finish("stop")


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(kind="extension", name="trial_preferences", summary="Takes preferences.")


@hookimpl
def make_turn_wrapper(options: Options, site: Site) -> TrialPreferences:
    return TrialPreferences()
