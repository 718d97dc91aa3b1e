"""A door for trials: the speech assistant, whose calls are all held by a speech-to-speech model."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from fastapi import APIRouter

from jackfield.contracts.call import Call, CallLeg, CallRequest, Calls
from jackfield.contracts.panel import Panel
from jackfield.plugin import Capabilities, PluginInfo, Site, hookimpl
from jackfield_transport_speech_assistant.door import SpeechAssistant
from jackfield_transport_speech_assistant.options import SpeechAssistantOptions


class _ByModel:
    """Calls of the core."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def open(self, request: CallRequest, leg: CallLeg) -> AbstractAsyncContextManager[Call]:
        return self._calls.open(replace(request, pipeline="realtime"), leg)

    async def check(self, request: CallRequest) -> None:
        await self._calls.check(replace(request, pipeline="realtime"))


class SoakModelsTransport(SpeechAssistant):
    """The door."""

    def routes(self, panel: Panel) -> APIRouter:
        panel.calls = _ByModel(panel.calls)
        return super().routes(panel)


@hookimpl
def plugin_info() -> PluginInfo:
    """Describe the plugin."""
    return PluginInfo(
        kind="transport",
        name="soak_models",
        summary="Calls with browsers, held by a speech-to-speech model, for endurance trials.",
        options=SpeechAssistantOptions,
        capabilities=lambda _options: Capabilities(roles=("windows", "shared", "signals")),
    )


@hookimpl
def make_transport(options: SpeechAssistantOptions, site: Site) -> SoakModelsTransport:
    """Build the door."""
    return SoakModelsTransport(options, site)
