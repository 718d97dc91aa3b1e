"""Faster Whisper: recognises speech on this machine, with a Whisper model in CTranslate2's format.

Takes a model of the catalogue or any folder with `model.bin`, `config.json` and `tokenizer.json`; never
downloads. It hears whole utterances, without partial transcripts. Sound without speech is told apart
before Whisper hears it, because Whisper invents words for noise.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Final

from jackfield import Capabilities, PluginInfo, Site, hookimpl
from jackfield.models import locate
from jackfield_stt_faster_whisper.options import FasterWhisperOptions
from jackfield_stt_faster_whisper.stt import FasterWhisperSTT

__all__ = ["FasterWhisperOptions", "FasterWhisperSTT", "make_stt", "plugin_info"]

_CANCEL_S: Final = 2.5
"""Whisper hears windows of 30 s, and one that has begun is heard to its end."""


def _capabilities(options: FasterWhisperOptions) -> Capabilities:
    return Capabilities(
        languages=("en",) if options.model.endswith(".en") else (),
        models=(options.model,),
        cancel_s=_CANCEL_S,
        max_concurrency=options.workers,
    )


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="stt",
        name="faster_whisper",
        summary="Whisper models on this machine, through CTranslate2.",
        options=FasterWhisperOptions,
        extra="jackfield[faster-whisper]",
        capabilities=_capabilities,
    )


@hookimpl
def make_stt(options: FasterWhisperOptions, site: Site) -> FasterWhisperSTT:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when the library is imported
    import_module("faster_whisper")  # a missing SDK is told before anything starts
    return FasterWhisperSTT(options, locate(options.model), site)
