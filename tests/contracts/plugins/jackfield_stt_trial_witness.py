"""A recogniser that hears the number which every sample of a recording is: `mark-NUMBER- aloud`."""

from __future__ import annotations

from jackfield import Options, PluginInfo, Site, hookimpl
from jackfield.contracts.stt import Transcript, TranscriptionSettings, WholeUtteranceSTT


class WitnessSTT(WholeUtteranceSTT):
    """Reads the sample in the middle."""

    async def recognize(self, pcm: bytes, settings: TranscriptionSettings) -> Transcript:
        at = len(pcm) // 4 * 2
        number = int.from_bytes(pcm[at : at + 2], "little", signed=True)
        return Transcript(f"mark-{number}- aloud", "final")


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(kind="stt", name="trial_witness", summary="Hears the number that the samples are.")


@hookimpl
def make_stt(options: Options, site: Site) -> WitnessSTT:
    return WitnessSTT()
