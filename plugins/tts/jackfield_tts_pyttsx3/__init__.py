"""pyttsx3: eSpeak's voices, a hundred languages in a few megabytes, a hundredth of real time.

eSpeak sounds like a machine, and is quicker and smaller than any neural voice. pyttsx3 speaks through
libespeak-ng; `jackfield[pyttsx3]` brings it along, and one that the system has is used instead. Linux only.
The engine cannot be used from two threads, or twice in a process, so it runs in a process of its own, one
sentence after the other. eSpeak NG is licensed GPL-3.0-or-later, and is loaded in that process alone.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final

from jackfield import Capabilities, PluginInfo, Site, hookimpl
from jackfield.errors import PluginCannotStart, Problem
from jackfield_tts_pyttsx3.options import Pyttsx3Options
from jackfield_tts_pyttsx3.tts import Pyttsx3TTS

__all__ = ["Pyttsx3Options", "Pyttsx3TTS", "make_tts", "plugin_info"]

_CANCEL_S: Final = 0.3
"""A piece of text that has begun is spoken to its end."""


def _capabilities(options: Pyttsx3Options) -> Capabilities:
    return Capabilities(voices=(options.voice,), cancel_s=_CANCEL_S, max_concurrency=1)


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="tts",
        name="pyttsx3",
        summary="eSpeak's voices through pyttsx3, on this machine.",
        options=Pyttsx3Options,
        extra="jackfield[pyttsx3]",
        capabilities=_capabilities,
    )


@hookimpl
def make_tts(options: Pyttsx3Options, site: Site) -> Pyttsx3TTS:
    if sys.platform != "linux":
        message = f"pyttsx3 is used through libespeak-ng on Linux, and this is {sys.platform}."
        raise PluginCannotStart(Problem(site.section, message, 'Choose another voice: use = "piper".'))
    import_module("pyttsx3")  # a missing SDK is told before anything starts
    return Pyttsx3TTS(options, site)
