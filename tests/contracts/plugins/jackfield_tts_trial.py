"""A voice that hisses, notes what it was to say and in which voice, or fails."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator
from dataclasses import asdict

import anyio

from jackfield import PluginInfo, ProviderBadReply, Site, hookimpl
from jackfield.contracts.tts import SpeechSettings, TTSOutput, Voice
from tests.contracts.plugins.trial_desk import Desk, TrialOptions

RATE_HZ = 16_000


class TrialTTS:
    """Hisses for a fifth of a second a piece."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def rate_hz(self, voice: Voice) -> int:
        return RATE_HZ

    async def synthesize(self, text: str, settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
        self._desk.note(event="spoken", text=text, voice=asdict(settings.voice))
        match self._desk.mode:
            case "fail":
                raise ProviderBadReply("the provider said secret-123")
            case "raise":
                raise Exception("secret-123")
        await anyio.lowlevel.checkpoint()
        yield random.Random(text).randbytes(RATE_HZ * 2 // 5)


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(kind="tts", name="trial", summary="Hisses, or fails.", options=TrialOptions)


@hookimpl
def make_tts(options: TrialOptions, site: Site) -> TrialTTS:
    return TrialTTS(Desk(options, "tts"))
