"""SpeechRecognition: one library, the recognisers of many makers.

`sphinx`, the default, listens on this machine with CMU Sphinx: small and quick to install, and far behind
Whisper in what it understands. All other engines but `vosk` send the speech to a service; `google` to the one
that Chromium used, with a key that all users of the library share unless you have one: nobody promises that
it goes on working. Engines hear whole utterances, without partial transcripts.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from jackfield import Capabilities, PluginInfo, Site, hookimpl
from jackfield.errors import PluginCannotLoad, Problem
from jackfield_stt_speech_recognition.engines import ENGINES
from jackfield_stt_speech_recognition.options import SpeechRecognitionOptions

if TYPE_CHECKING:
    from jackfield.contracts.stt import STT

__all__ = ["SpeechRecognitionOptions", "make_stt", "plugin_info"]

_EXTRA: Final = "jackfield[speech-recognition]"
_SPHINX_EXTRA: Final = "jackfield[sphinx]"
"""The default engine's, which brings the other one too."""
_SPHINX_CANCEL_S: Final = 0.5
_PACKING_S: Final = 1.0
"""Compressing the sound, before the service is called."""


def _capabilities(options: SpeechRecognitionOptions) -> Capabilities:
    engine = ENGINES.get(options.engine)
    if engine is None:
        return Capabilities(
            languages=(options.language,), cancel_s=_SPHINX_CANCEL_S, max_concurrency=options.workers
        )
    return Capabilities(
        network=engine.network,
        cancel_s=(engine.longest_s or options.timeout_s) + _PACKING_S,
        max_concurrency=options.workers,
    )


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="stt",
        name="speech_recognition",
        summary="The engines of SpeechRecognition: Sphinx on this machine, Google and others as services.",
        options=SpeechRecognitionOptions,
        extra=_SPHINX_EXTRA,
        capabilities=_capabilities,
    )


@hookimpl
def make_stt(options: SpeechRecognitionOptions, site: Site) -> STT:
    if options.engine == "sphinx":
        _need(("speech_recognition", "pocketsphinx"), _SPHINX_EXTRA, site)
        from jackfield_stt_speech_recognition.sphinx import SphinxSTT

        return SphinxSTT(options, site)
    _need(("speech_recognition",), _EXTRA, site)
    from jackfield_stt_speech_recognition.service import ServiceSTT

    return ServiceSTT(options, site)


def _need(packages: tuple[str, ...], extra: str, site: Site) -> None:
    for package in packages:
        if find_spec(package) is None:
            message = f'"{site.plugin}" needs the package {package}, which is not installed.'
            raise PluginCannotLoad(Problem(site.section, message, f"pip install '{extra}'"))
