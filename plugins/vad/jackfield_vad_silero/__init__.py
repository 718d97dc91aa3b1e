"""Silero: tells speech from everything else on this machine, 20 microseconds a window of 32 ms.

Takes the model of the catalogue or another ONNX file of Silero VAD 5 or 6 for 16 kHz; never downloads.
The network is small enough for numpy, which judges the windows of many calls at once three to four times
as fast as onnxruntime does; onnxruntime is not needed. While it is in use numpy multiplies matrices on
one thread in the whole process: a second thread would spend a core on waiting.
"""

from __future__ import annotations

from importlib import import_module

from pydantic import Field

from jackfield import Capabilities, Options, PluginInfo, Site, hookimpl
from jackfield.models import locate
from jackfield_vad_silero.detector import SileroStream, SileroVAD

__all__ = ["SileroOptions", "SileroStream", "SileroVAD", "make_vad", "plugin_info"]


class SileroOptions(Options):
    """Which model listens."""

    model: str = Field(
        "silero-vad", description="A model of the catalogue, or the path of Silero VAD for 16 kHz (`.onnx`)."
    )


def _capabilities(options: SileroOptions) -> Capabilities:
    return Capabilities(models=(options.model,))


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="vad",
        name="silero",
        summary="Silero VAD on this machine, the windows of all calls judged together.",
        options=SileroOptions,
        extra="jackfield[silero]",
        capabilities=_capabilities,
    )


@hookimpl
def make_vad(options: SileroOptions, site: Site) -> SileroVAD:
    for library in ("numpy", "threadpoolctl"):
        import_module(library)  # a missing library is told before anything starts
    return SileroVAD(locate(options.model), site)
