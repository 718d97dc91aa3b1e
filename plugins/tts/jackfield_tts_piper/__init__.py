"""Piper: neural voices on this machine, a tenth of real time on one processor core.

Takes a voice of the catalogue or any Piper voice file (`.onnx` with its `.onnx.json`); never downloads.
Voices whose text goes through espeak-ng, or through nothing, work; those that need a further library to
read Chinese, Hebrew, Japanese or Thai do not. Sound comes in parts: a sentence is heard before all of it is
computed. piper-tts and the espeak-ng inside it are licensed GPL-3.0-or-later; they come with
`jackfield[piper]` only and are imported when this plugin is configured.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from jackfield import Capabilities, PluginInfo, Site, hookimpl
from jackfield.models import locate
from jackfield_tts_piper.options import PiperOptions

if TYPE_CHECKING:
    from jackfield_tts_piper.tts import PiperTTS

__all__ = ["PiperOptions", "make_tts", "plugin_info"]

_CANCEL_S: Final = 0.3


def _capabilities(options: PiperOptions) -> Capabilities:
    return Capabilities(
        voices=(options.model,),
        models=(options.model,),
        cancel_s=_CANCEL_S,
        max_concurrency=options.workers,
    )


@hookimpl
def plugin_info() -> PluginInfo:
    """Describe the plugin."""
    return PluginInfo(
        kind="tts",
        name="piper",
        summary="Neural voices on this machine; the libraries it needs are GPL-3.0-or-later.",
        options=PiperOptions,
        extra="jackfield[piper]",
        capabilities=_capabilities,
    )


@hookimpl
def make_tts(options: PiperOptions, site: Site) -> PiperTTS:
    """Find the voice's files; they are loaded when the object is entered."""
    import_module("piper")  # a missing library is told before anything starts
    from jackfield_tts_piper.tts import PiperTTS  # it needs numpy, which comes with it

    return PiperTTS(options, locate(options.model), site)
