"""A recogniser that hears one sentence, whatever was said, or fails."""

from __future__ import annotations

import anyio

from jackfield import PluginInfo, ProviderBadReply, Site, hookimpl
from jackfield.contracts.stt import Transcript, TranscriptionSettings, WholeUtteranceSTT
from tests.contracts.plugins.trial_desk import Desk, TrialOptions


class TrialSTT(WholeUtteranceSTT):
    """Hears "Will it rain tomorrow?"."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def recognize(self, pcm: bytes, settings: TranscriptionSettings) -> Transcript:
        self._desk.note(event="heard", bytes=len(pcm), silent=not any(pcm))
        match self._desk.mode:
            case "fail":
                raise ProviderBadReply("the provider said secret-123")
            case "raise":
                raise Exception("secret-123")
            case "hang":
                await anyio.sleep_forever()
            case "nothing":
                return Transcript(" \n", "final")
        return Transcript("Will it rain tomorrow?", "final")


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(kind="stt", name="trial", summary="Hears one sentence, or fails.", options=TrialOptions)


@hookimpl
def make_stt(options: TrialOptions, site: Site) -> TrialSTT:
    return TrialSTT(Desk(options, "stt"))
