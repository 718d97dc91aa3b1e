"""A detector that takes whatever is loud for speech."""

from __future__ import annotations

import array

from jackfield import Options, PluginInfo, Site, hookimpl

_LOUD = 1_000


class _Stream:
    def feed(self, window: bytes) -> float:
        return 1.0 if max(map(abs, array.array("h", window))) > _LOUD else 0.0


class TrialVAD:
    """Looks at the loudest sample."""

    window_samples = 512

    def stream(self) -> _Stream:
        return _Stream()


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(kind="vad", name="trial", summary="Takes what is loud for speech.")


@hookimpl
def make_vad(options: Options, site: Site) -> TrialVAD:
    return TrialVAD()
